//! An id server: it draws ids from a block in memory, has the next block fetched before it is needed,
//! and goes on while the server is away, until the blocks at hand are used up. Each line of a client
//! is answered with an id. Its arguments: redis://127.0.0.1/ orders 1000 127.0.0.1:7000

use redis::{Client, RedisResult, cmd};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufRead, BufReader, Write};
use std::iter::StepBy;
use std::net::{TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError, mpsc};
use std::{env, error, thread, time::Duration};

type Block = StepBy<RangeInclusive<i64>>;

/// Ids of one allocator, drawn from blocks of `count`. One block waits here, and one behind it.
pub fn ids(client: Client, key: String, count: u32) -> impl Iterator<Item = i64> + Send {
    let (sender, blocks) = mpsc::sync_channel::<Block>(1);
    let producer = format!("id-server-{:x}", RandomState::new().hash_one("producer"));
    thread::spawn(move || (0u64..).try_for_each(|token| sender.send(fetch(&client, &key, count, &producer, token))));
    blocks.into_iter().flatten()
}

/// Asks until there is an answer. By the token, one that was lost comes again.
fn fetch(client: &Client, key: &str, count: u32, producer: &str, token: u64) -> Block {
    let mut reserve = cmd("IDBLOCK.RESERVE");
    reserve.arg(key).arg(count).arg("ATLEAST").arg(1).arg("IDMP").arg(producer).arg(token);
    loop {
        let reply: RedisResult<(i64, i64, usize, usize)> =
            client.get_connection().and_then(|mut connection| reserve.query(&mut connection));
        match reply {
            Ok((first, last, increment, _)) => return (first..=last).step_by(increment),
            Err(error) => eprintln!("{key}: {error}"),
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn serve(client: &TcpStream, ids: &Mutex<impl Iterator<Item = i64>>) -> io::Result<()> {
    for line in BufReader::new(client).lines() {
        line?;
        let id = ids.lock().unwrap_or_else(PoisonError::into_inner).next().ok_or(io::ErrorKind::Other)?;
        writeln!(&mut &*client, "{id}")?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn error::Error>> {
    let arguments: Result<[String; 4], _> = env::args().skip(1).collect::<Vec<_>>().try_into();
    let [url, key, count, address] = arguments.map_err(|_| "usage: id_server URL KEY COUNT ADDRESS")?;
    let (ids, listener) = (Mutex::new(ids(Client::open(url)?, key, count.parse()?)), TcpListener::bind(address)?);
    let ids = &ids;
    thread::scope(|scope| {
        listener.incoming().flatten().for_each(|client| drop(scope.spawn(move || serve(&client, ids))));
    });
    Ok(())
}

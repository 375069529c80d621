//! Follows the audit log of one key and appends its entries to a file, each a line of JSON:
//!
//! ```text
//! cargo run --example tail -- redis://127.0.0.1:6379 views views.jsonl
//! {"id":"1700000000000-0","op":"incr","delta":5,"value":105,"user":"alice","client":"web-1","note":"order 7"}
//! ```
//!
//! Without a file it writes to standard output, with `--once` it stops at the end of the log. Started again
//! it goes on behind the last complete line of the file: entries have strictly increasing ids, so the file is all
//! the state there is, and a line that was cut short by a crash is written anew. What retention has dropped before
//! it was read is not there; what is no UTF-8 in a name or note comes out as U+FFFD.

use redis::{Connection, Value};
use serde::{Deserialize, Serialize, Serializer};
use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::thread::sleep;
use std::time::Duration;
use std::{env, process};

/// Entries asked for at once.
const PAGE: usize = 1000;
/// How long to wait at the end of the log before asking again.
const PAUSE: Duration = Duration::from_millis(100);
/// More than two lines can have: three names of 255 bytes, each at most six characters, and some numbers.
const WINDOW: u64 = 64 * 1024;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// An entry as LOG replies it: fields and values in turn.
struct Entry {
    id: String,
    fields: Vec<(String, Value)>,
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = self.fields.iter().map(|(name, value)| (name.as_str(), json(name, value)));
        serializer.collect_map([("id", self.id.as_str().into())].into_iter().chain(fields))
    }
}

/// Numbers as numbers, if they fit 64 bits. A name or a note may look like one and is none.
fn json(name: &str, value: &Value) -> serde_json::Value {
    let Value::BulkString(bytes) = value else { return serde_json::Value::Null };
    let text = String::from_utf8_lossy(bytes).into_owned();
    match name {
        "delta" | "value" | "first" | "last" => text.parse::<i64>().map_or_else(|_| text.into(), Into::into),
        _ => text.into(),
    }
}

/// Cuts off a torn last line, and returns where to go on: behind the entry of the line before it.
pub fn resume(file: &mut File) -> Outcome<String> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
    }
    let start = file.metadata()?.len().saturating_sub(WINDOW);
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.read_to_end(&mut end)?;

    let complete = match end.iter().rposition(|&byte| byte == b'\n') {
        Some(newline) => newline + 1,
        None if start == 0 => 0,
        None => return Err("file must hold lines of JSON".into()),
    };
    let lines = end.get(..complete).unwrap_or_default();
    let last = lines.trim_ascii_end().rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let from = if last.is_empty() { "-".to_owned() } else { format!("({}", serde_json::from_slice::<Line>(last)?.id) };
    file.set_len(start + complete as u64)?;
    file.seek(SeekFrom::End(0))?;
    Ok(from)
}

/// Writes the entries of `key` from `from` on: up to the end of the log if `once`, else for ever.
pub fn follow(server: &mut Connection, key: &str, mut from: String, out: &mut dyn Write, once: bool) -> Outcome<()> {
    let kind: String = redis::cmd("TYPE").arg(key).query(server)?;
    let command = match kind.as_str() {
        "scounter-" => "SCOUNTER.LOG",
        "idblock--" => "IDBLOCK.LOG",
        _ => return Err(format!("key must hold a counter or an allocator, got {kind}").into()),
    };
    loop {
        let range = [key, &from, "+", "COUNT"];
        let page: Vec<(String, Vec<(String, Value)>)> = redis::cmd(command).arg(&range).arg(PAGE).query(server)?;
        let is_last = page.len() < PAGE;
        for (id, fields) in page {
            from = format!("({id}");
            serde_json::to_writer(&mut *out, &Entry { id, fields })?;
            out.write_all(b"\n")?;
        }
        out.flush()?;
        match is_last {
            true if once => return Ok(()),
            true => sleep(PAUSE),
            false => {}
        }
    }
}

fn main() -> Outcome<()> {
    let mut words: Vec<String> = env::args().skip(1).collect();
    let once = words.iter().position(|word| word == "--once").map(|place| words.remove(place)).is_some();
    let (url, key, file) = match words.as_slice() {
        [url, key] => (url, key, None),
        [url, key, file] => (url, key, Some(file)),
        _ => {
            eprintln!("usage: tail redis://host:port key [file] [--once]");
            process::exit(2);
        }
    };
    let mut server = redis::Client::open(url.as_str())?.get_connection()?;
    match file {
        None => follow(&mut server, key, "-".to_owned(), &mut io::stdout().lock(), once),
        Some(file) => {
            let mut file = File::options().create(true).truncate(false).read(true).write(true).open(file)?;
            let from = resume(&mut file)?;
            follow(&mut server, key, from, &mut io::BufWriter::new(file), once)
        }
    }
}

//! Which of our commands is measured against what, and the ratio it is to reach.

/// One side of a pair.
pub struct Side {
    /// What the table calls it.
    pub label: &'static str,
    /// The command, or the keys and arguments of the script.
    pub command: String,
    /// A script, and how many of its arguments are keys.
    pub script: Option<(&'static str, usize)>,
    /// How much one request does of what is counted.
    pub units: f64,
}

/// A pair.
pub struct Contest {
    pub name: &'static str,
    /// What both sides find.
    pub setup: Vec<String>,
    pub ours: Side,
    pub rival: Side,
    /// The same by a module that does only what the server asks of it (`benches/floor`).
    pub floor: String,
    pub pipeline: u64,
    /// Bare, with AOF, with AOF and replica.
    pub goals: [f64; 3],
}

/// Every key has 16 bytes, as many as the token.
const COUNTER: &str = "tally-counter:01";
const BLOCK: &str = "tally-idblock:01";
const NATIVE: &str = "plain-counter:01";
const STREAM: &str = "plain-counter:log";
const TOKEN: &str = "tokn__rand_int__";

const PIPELINE: u64 = 64;

/// What users write today for a counter with a log.
const LOGGED: &str = "local value = redis.call('INCRBY', KEYS[1], ARGV[1]) \
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'delta', ARGV[1], 'value', value) \
    return value";

/// The same for one that can be retried.
const RETRIED: &str = "if not redis.call('SET', KEYS[3], '', 'NX', 'EX', 300) then return redis.call('GET', KEYS[1]) end \
    local value = redis.call('INCRBY', KEYS[1], ARGV[1]) \
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', 1000, '*', 'delta', ARGV[1], 'value', value) \
    return value";

fn side(label: &'static str, command: impl Into<String>, units: f64) -> Side {
    Side { label, command: command.into(), script: None, units }
}

fn script(label: &'static str, body: &'static str, arguments: String, keys: usize) -> Side {
    Side { label, command: arguments, script: Some((body, keys)), units: 1.0 }
}

fn incrby() -> Side {
    side("INCRBY", format!("INCRBY {NATIVE} 1"), 1.0)
}

fn incr(label: &'static str) -> Side {
    side(label, format!("SCOUNTER.INCR {COUNTER} 1"), 1.0)
}

fn next() -> Side {
    side("NEXT, fenced", format!("IDBLOCK.NEXT {BLOCK}"), 1.0)
}

fn mincr(counters: usize) -> Side {
    side("MINCR of 64, increments", format!("SCOUNTER.MINCR{}", pairs("tally", counters)), counters as f64)
}

/// So many keys, and what is added to each.
fn pairs(prefix: &str, counters: usize) -> String {
    (0..counters).map(|number| format!(" {prefix}-counter:{number:02} 1")).collect()
}

fn floor(command: &str) -> String {
    format!("FLOOR.{command} floor-counter:01")
}

/// All pairs.
pub fn contests() -> Vec<Contest> {
    let counters = [format!("SCOUNTER.INCR {COUNTER}"), format!("INCRBY {NATIVE} 1"), floor("NEXT")];
    let pair = |name, setup: &[String], ours, rival, floor, goal| Contest {
        name,
        setup: [&counters, setup].concat(),
        ours,
        rival,
        floor,
        pipeline: PIPELINE,
        goals: [goal; 3],
    };
    let logged = [format!("SCOUNTER.ALTER {COUNTER} LOG MAXLEN 1000")];
    let block = [format!("IDBLOCK.CREATE {BLOCK}")];
    let codes = [format!("IDBLOCK.CREATE {BLOCK} CODES 8")];
    let keys = format!("{NATIVE} {STREAM}");
    let once = format!("SCOUNTER.INCR {COUNTER} 1 IDMP worker-1 {TOKEN}");
    let reserve = format!("IDBLOCK.RESERVE {BLOCK} 1000");
    let hundred = format!("IDBLOCK.CODES {BLOCK} 100");
    let (incr_floor, log_floor) = (format!("{} 1", floor("INCR")), format!("{} 1", floor("LOG")));
    let reserve_floor = format!("{} 1000", floor("RESERVE"));
    let token_floor = format!("{incr_floor} IDMP worker-1 {TOKEN}");
    let mincr_floor = format!("FLOOR.MINCR{}", pairs("floor", 64));
    vec![
        pair("incr", &[], incr("INCR"), incrby(), incr_floor.clone(), 0.92),
        pair(
            "get",
            &[],
            side("GET", format!("SCOUNTER.GET {COUNTER}"), 1.0),
            side("GET of an integer", format!("GET {NATIVE}"), 1.0),
            floor("GET"),
            0.92,
        ),
        pair("log", &logged, incr("INCR, LOG MAXLEN 1000"), incrby(), log_floor.clone(), 0.65),
        pair(
            "log-script",
            &logged,
            incr("INCR, LOG MAXLEN 1000"),
            script("script: INCRBY, XADD", LOGGED, format!("{keys} 1"), 2),
            log_floor.clone(),
            4.0,
        ),
        pair(
            "token",
            &[],
            side("INCR, IDMP", once, 1.0),
            script("script: SET NX, INCRBY, XADD", RETRIED, format!("{keys} {TOKEN} 1"), 3),
            token_floor,
            5.0,
        ),
        pair("mincr", &[], mincr(64), incrby(), mincr_floor, 3.0),
        Contest { goals: [1.0, 1.2, 1.2], ..pair("next", &block, next(), incrby(), floor("NEXT"), 1.0) },
        pair("reserve", &block, side("RESERVE 1000, default log", reserve, 1.0), incrby(), reserve_floor, 0.60),
        pair("codes", &codes, side("CODES 100, codes", hundred, 100.0), incrby(), "FLOOR.STRINGS 100".to_owned(), 5.0),
        Contest { pipeline: 1, ..pair("incr-alone", &[], incr("INCR, no pipeline"), incrby(), incr_floor, 0.98) },
        Contest {
            pipeline: 1,
            ..pair(
                "next-alone",
                &block,
                Side { label: "NEXT, fenced, no pipeline", ..next() },
                incrby(),
                floor("NEXT"),
                0.98,
            )
        },
    ]
}

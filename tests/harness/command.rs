//! Commands as tests write them.
//!
//! ```text
//! client.int("SCOUNTER.INCR views 5")                    words, split at spaces
//! client.int(["SCOUNTER.INCR", "my key", "5"])           strings of any content
//! client.int(args!["SCOUNTER.INCR", key, delta])         strings, bytes and integers
//! ```

/// A command, turned into its arguments.
pub trait Command {
    fn into_arguments(self) -> Vec<Vec<u8>>;
}

impl Command for &str {
    fn into_arguments(self) -> Vec<Vec<u8>> {
        self.split_ascii_whitespace().map(|word| word.as_bytes().to_vec()).collect()
    }
}

impl Command for String {
    fn into_arguments(self) -> Vec<Vec<u8>> {
        self.as_str().into_arguments()
    }
}

impl<A: AsRef<[u8]>> Command for &[A] {
    fn into_arguments(self) -> Vec<Vec<u8>> {
        self.iter().map(|argument| argument.as_ref().to_vec()).collect()
    }
}

impl<A: AsRef<[u8]>, const N: usize> Command for [A; N] {
    fn into_arguments(self) -> Vec<Vec<u8>> {
        self.as_slice().into_arguments()
    }
}

impl<A: AsRef<[u8]>, const N: usize> Command for &[A; N] {
    fn into_arguments(self) -> Vec<Vec<u8>> {
        self.as_slice().into_arguments()
    }
}

impl<A: AsRef<[u8]>> Command for Vec<A> {
    fn into_arguments(self) -> Vec<Vec<u8>> {
        self.as_slice().into_arguments()
    }
}

impl<A: AsRef<[u8]>> Command for &Vec<A> {
    fn into_arguments(self) -> Vec<Vec<u8>> {
        self.as_slice().into_arguments()
    }
}

/// One argument, turned into its bytes.
pub trait Argument {
    fn into_bytes(self) -> Vec<u8>;
}

macro_rules! argument_by_bytes {
    ($($kind:ty),+) => { $(impl Argument for $kind {
        fn into_bytes(self) -> Vec<u8> { Vec::from(self) }
    })+ };
}

macro_rules! argument_by_text {
    ($($kind:ty),+) => { $(impl Argument for $kind {
        fn into_bytes(self) -> Vec<u8> { self.to_string().into_bytes() }
    })+ };
}

argument_by_bytes!(&str, String, &[u8], Vec<u8>);
argument_by_text!(i8, u8, i16, u16, i32, u32, i64, u64, i128, u128, isize, usize, f64);

impl<const N: usize> Argument for [u8; N] {
    fn into_bytes(self) -> Vec<u8> {
        self.to_vec()
    }
}

impl<A: Argument + Clone> Argument for &A {
    fn into_bytes(self) -> Vec<u8> {
        self.clone().into_bytes()
    }
}

/// `args!["SCOUNTER.INCR", key, 5]`: a command of mixed strings, bytes and integers.
macro_rules! args {
    ($($argument:expr),* $(,)?) => { vec![$($crate::harness::Argument::into_bytes($argument)),*] };
}
pub(crate) use args;

/// The bytes of a command on the wire.
pub fn encode(arguments: &[Vec<u8>]) -> Vec<u8> {
    let mut wire = format!("*{}\r\n", arguments.len()).into_bytes();
    for argument in arguments {
        wire.extend_from_slice(format!("${}\r\n", argument.len()).as_bytes());
        wire.extend_from_slice(argument);
        wire.extend_from_slice(b"\r\n");
    }
    wire
}

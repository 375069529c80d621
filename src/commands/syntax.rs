//! The syntax line of a command, read for COMMAND DOCS. It is the same line that docs/COMMANDS.md
//! and the README show, so what a server says of a command cannot differ from them.
//!
//! ```text
//!   key              an argument; its kind follows from its name
//!   WORD             a word that stands for itself; before an argument it is that one's token
//!   [ .. ]           may be absent
//!   <a|b>            one of them
//!   [a|b]            one of them, or none
//!   [ ... ..]        may come several times; a repetition of what stands before it is part of it
//! ```

use crate::host::{Argument, Value};

/// The arguments behind the name of the command, and the arity that follows.
pub fn parse(syntax: &str) -> (Vec<Argument>, i32) {
    let mut words = Words { rest: syntax };
    let arguments = words.sequence();
    let open = arguments.iter().any(|argument| argument.optional || argument.multiple);
    let least: i32 = 1 + arguments.iter().map(fixed).sum::<i32>();
    (arguments, if open { -least } else { least })
}

fn fixed(argument: &Argument) -> i32 {
    let token = i32::from(argument.token.is_some() && argument.value != Value::Token);
    match &argument.value {
        _ if argument.optional => 0,
        Value::Block(children) => token + children.iter().map(fixed).sum::<i32>(),
        // The handler misses it with a better word than the server's count of arguments.
        Value::OneOf(_) => 0,
        _ => token + 1,
    }
}

fn value_of(name: &str) -> Value {
    match name {
        "key" => Value::Key,
        "delta" | "n" | "count" | "ms" | "s" | "k" | "amount" | "value" | "id" | "hold-id" | "bits" | "length" => {
            Value::Integer
        }
        "unix-time" => Value::UnixTime,
        _ => Value::Text,
    }
}

fn is_token(word: &str) -> bool {
    word.chars().all(|letter| letter.is_ascii_uppercase() || letter == '-')
}

fn argument(name: &str, value: Value) -> Argument {
    Argument { name: name.to_ascii_lowercase(), value, token: None, optional: false, multiple: false }
}

/// Several arguments as one.
fn block(mut arguments: Vec<Argument>) -> Option<Argument> {
    if arguments.len() < 2 {
        return arguments.pop();
    }
    let name = arguments.first()?.name.clone();
    Some(argument(&name, Value::Block(arguments)))
}

/// What is a word by itself, without a blank around it.
const SINGLE: [char; 5] = ['[', ']', '<', '>', '|'];

struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// The next word, bracket or bar.
    fn next(&mut self) -> Option<&'a str> {
        self.rest = self.rest.trim_start();
        let single = self.rest.starts_with(SINGLE);
        let end = if single {
            1
        } else {
            self.rest.find(|letter| letter == ' ' || SINGLE.contains(&letter)).unwrap_or(self.rest.len())
        };
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }

    fn ahead(&self) -> Option<&'a str> {
        Words { rest: self.rest }.next()
    }

    /// Arguments up to a bar, a closing bracket or the end.
    fn sequence(&mut self) -> Vec<Argument> {
        let mut arguments: Vec<Argument> = Vec::new();
        while let Some(word) = self.ahead().filter(|word| !["|", "]", ">", ".."].contains(word)) {
            self.next();
            if word == "[" {
                self.bracket(&mut arguments, true);
            } else if word == "<" {
                self.bracket(&mut arguments, false);
            } else if is_token(word) {
                arguments.extend(self.token(word));
            } else {
                arguments.push(argument(word, value_of(word)));
            }
        }
        arguments
    }

    /// A word in capitals: the token of what follows, or an argument by itself.
    fn token(&mut self, word: &str) -> Option<Argument> {
        let mut following = self.sequence_behind_token();
        match following.len() {
            0 => {
                let token = Some(word.to_owned());
                Some(Argument { token, ..argument(word, Value::Token) })
            }
            _ => {
                // The token belongs to the first of them. One that has a token already comes after it.
                let first = following.first_mut()?;
                let Some(second) = first.token.clone() else {
                    first.token = Some(word.to_owned());
                    return block(following);
                };
                let token = Some(word.to_owned());
                following.insert(0, Argument { token, ..argument(word, Value::Token) });
                Some(argument(&format!("{word}-{second}"), Value::Block(following)))
            }
        }
    }

    fn sequence_behind_token(&mut self) -> Vec<Argument> {
        let mut arguments = Vec::new();
        while let Some(word) = self.ahead().filter(|word| !["[", "<", "]", ">", "|", ".."].contains(word)) {
            self.next();
            if is_token(word) {
                arguments.extend(self.token(word));
            } else {
                arguments.push(argument(word, value_of(word)));
            }
        }
        arguments
    }

    /// What stands in brackets, the opening one read already.
    fn bracket(&mut self, before: &mut Vec<Argument>, optional: bool) {
        let mut choices = vec![self.sequence()];
        let mut multiple = false;
        while let Some(word) = self.next().filter(|&word| word != "]" && word != ">") {
            match word {
                "|" => choices.push(self.sequence()),
                _ => multiple = true,
            }
        }
        if let [choice] = choices.as_slice()
            && multiple
            && before.ends_with(choice)
        {
            // `key [key ..]`: one argument, several times.
            let repeated = block(before.split_off(before.len() - choice.len()));
            before.extend(repeated.map(|argument| Argument { multiple, ..argument }));
            return;
        }
        let mut choices: Vec<Argument> = choices.into_iter().filter_map(block).collect();
        let one = if choices.len() > 1 {
            let name = choices.iter().map(|choice| choice.name.as_str()).collect::<Vec<_>>().join("-or-");
            Some(argument(&name, Value::OneOf(choices)))
        } else {
            choices.pop()
        };
        before.extend(one.map(|argument| Argument { optional, multiple, ..argument }));
    }
}

//! What a counter and its log come to, in plain code: a value, two bounds, holds, tokens, and a list of entries.

use super::entry::Fields;
use std::collections::BTreeMap;

/// What is asked of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    Incr(i64),
    Decr(i64),
    Saturate(i64),
    Set(i64),
    Bounds(i64, i64),
    Hold(i64),
    Commit(i64, Option<i64>),
    Release(i64),
}

/// Who asks, and why. Empty: not said.
#[derive(Clone, Debug, Default)]
pub struct Who {
    pub user: String,
    pub client: String,
    pub note: String,
}

/// What must come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Exactly this.
    Is(String),
    /// An error with this code.
    Refusal(&'static str),
    /// The id of a new hold, to be told to `Model::held`.
    HoldId,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Committed(i64),
    Released,
    Expired,
}

/// The counter.
pub struct Model {
    pub value: i64,
    bounds: (i64, i64),
    pending: BTreeMap<i64, i64>,
    endings: BTreeMap<i64, (i64, Ending, i64)>, // held, how, the value then
    tokens: BTreeMap<u32, (Request, String)>,
    /// A hold whose deadline has passed; the next change tells.
    lapsed: Option<i64>,
    pub log: Vec<Fields>,
}

impl Model {
    /// The counter that CREATE makes.
    pub fn created(value: i64, bounds: (i64, i64), user: &str) -> Self {
        let (pending, endings, tokens) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut model = Self { value, bounds, pending, endings, tokens, lapsed: None, log: Vec::new() };
        let who = Who { user: user.to_owned(), ..Who::default() };
        model.note("create", value, &who);
        model
    }

    /// The ids of pending holds, and of those that have ended.
    pub fn holds(&self) -> (Vec<(i64, i64)>, Vec<i64>) {
        (self.pending.iter().map(|(id, amount)| (*id, *amount)).collect(), self.endings.keys().copied().collect())
    }

    /// The tokens that are known, with their requests.
    pub fn known(&self, token: u32) -> Option<Request> {
        self.tokens.get(&token).map(|(request, _)| *request)
    }

    /// Carries out a request.
    pub fn execute(&mut self, request: Request, token: Option<u32>, who: &Who) -> Reply {
        if let Some((first, reply)) = token.and_then(|token| self.tokens.get(&token)) {
            let same = *first == request;
            return if same { Reply::Is(reply.clone()) } else { Reply::Refusal("IDMPMISMATCH") };
        }
        let entries = self.log.len();
        let reply = self.decide(request, who);
        if let (Some(token), Reply::Is(reply)) = (token, &reply)
            && self.log.len() > entries
        {
            self.tokens.insert(token, (request, reply.clone()));
        }
        reply
    }

    /// The hold that was just set aside has this id.
    pub fn held(&mut self, id: i64, amount: i64, token: Option<u32>) {
        self.pending.insert(id, amount);
        token.map(|token| self.tokens.insert(token, (Request::Hold(amount), id.to_string())));
    }

    /// The deadline of a hold has passed.
    pub fn lapse(&mut self, id: i64) {
        self.end(id, Ending::Expired);
        self.lapsed = Some(id);
    }

    /// Whether a hold is past its deadline, and no change has told so yet.
    pub fn has_lapsed(&self) -> bool {
        self.lapsed.is_some()
    }

    fn decide(&mut self, request: Request, who: &Who) -> Reply {
        let (low, high) = self.room();
        let fits = |value: i64| (low..=high).contains(&value);
        match request {
            Request::Incr(delta) => self.add(delta, who),
            Request::Decr(delta) => self.add(-delta, who),
            Request::Saturate(delta) => {
                let step = (self.value + delta).clamp(low, high) - self.value;
                self.change("incr", step, self.value + step, who);
                Reply::Is(format!("[{}, {step}]", self.value))
            }
            Request::Set(value) if value == self.value => Reply::Is("OK".to_owned()),
            Request::Set(value) if !fits(value) => Reply::Refusal("BOUND"),
            Request::Set(value) => {
                self.change("set", value - self.value, value, who);
                Reply::Is("OK".to_owned())
            }
            Request::Bounds(lower, upper) => {
                let before = std::mem::replace(&mut self.bounds, (lower, upper));
                let (low, high) = self.room();
                if !(low..=high).contains(&self.value) {
                    self.bounds = before;
                    return Reply::Refusal("BOUND");
                }
                if self.bounds != before {
                    self.note("alter", 0, who);
                }
                Reply::Is("OK".to_owned())
            }
            Request::Hold(amount) if !fits(self.value + amount) => Reply::Refusal("BOUND"),
            Request::Hold(amount) => {
                self.note("hold", amount, who);
                Reply::HoldId
            }
            Request::Commit(id, amount) => self.commit(id, amount, who),
            Request::Release(id) => self.release(id, who),
        }
    }

    fn add(&mut self, delta: i64, who: &Who) -> Reply {
        let (low, high) = self.room();
        if !(low..=high).contains(&(self.value + delta)) {
            return Reply::Refusal("BOUND");
        }
        self.change("incr", delta, self.value + delta, who);
        Reply::Is(self.value.to_string())
    }

    fn commit(&mut self, id: i64, amount: Option<i64>, who: &Who) -> Reply {
        if let Some(&(held, ending, value)) = self.endings.get(&id) {
            let same = ending == Ending::Committed(amount.unwrap_or(held));
            return if same { Reply::Is(value.to_string()) } else { Reply::Refusal("HOLDRESOLVED") };
        }
        let Some(&held) = self.pending.get(&id) else { return Reply::Refusal("NOHOLD") };
        let amount = amount.unwrap_or(held);
        self.note_at("commit", amount, self.value + amount, who);
        self.end(id, Ending::Committed(amount));
        Reply::Is(self.value.to_string())
    }

    fn release(&mut self, id: i64, who: &Who) -> Reply {
        match (self.endings.get(&id), self.pending.get(&id)) {
            (Some((_, Ending::Released, _)), _) => {}
            (Some(_), _) => return Reply::Refusal("HOLDRESOLVED"),
            (None, None) => return Reply::Refusal("NOHOLD"),
            (None, Some(&amount)) => {
                self.note("release", amount, who);
                self.end(id, Ending::Released);
            }
        }
        Reply::Is("OK".to_owned())
    }

    fn end(&mut self, id: i64, ending: Ending) {
        let amount = self.pending.remove(&id).expect("a pending hold");
        self.endings.insert(id, (amount, ending, self.value));
    }

    /// The values that bounds and holds leave.
    fn room(&self) -> (i64, i64) {
        let sum = |sign: i64| self.pending.values().filter(|amount| amount.signum() == sign).sum::<i64>();
        (self.bounds.0 - sum(-1), self.bounds.1 - sum(1))
    }

    fn change(&mut self, op: &str, delta: i64, value: i64, who: &Who) {
        if delta != 0 {
            self.note_at(op, delta, value, who);
        }
    }

    fn note(&mut self, op: &str, delta: i64, who: &Who) {
        self.note_at(op, delta, self.value, who);
    }

    /// An entry; before it that of a hold that has expired, which is nobody's doing.
    fn note_at(&mut self, op: &str, delta: i64, value: i64, who: &Who) {
        if let Some(id) = self.lapsed.take() {
            let (amount, ..) = self.endings[&id];
            self.log.push(fields("hold-expired", amount, self.value, &Who::default()));
        }
        self.value = value;
        self.log.push(fields(op, delta, value, who));
    }
}

fn fields(op: &str, delta: i64, value: i64, who: &Who) -> Fields {
    let words = [
        ("op", op),
        ("delta", &delta.to_string()),
        ("value", &value.to_string()),
        ("user", &who.user),
        ("client", &who.client),
        ("note", &who.note),
    ];
    let present = words.into_iter().filter(|(_, word)| !word.is_empty());
    present.map(|(name, word)| (name.to_owned(), word.to_owned())).collect()
}

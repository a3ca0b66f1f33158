//! What the backend knows: challenges, sessions, accounts, games.

use super::{bounded::Bounded, push::Journal, reply::Failure};
use crate::client::unix_ms;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use ed25519_dalek::VerifyingKey;
use proto::push::v1::{ClientEvent, SessionInvalidation, push_event::Kind};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::{
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::mpsc;

/// Of each kind.
const ENTRIES_MAX: usize = 10_000;

const CODE_ATTEMPTS_MAX: u32 = 5;

/// How long a code may be used.
pub(super) const CODE_LIFE: Duration = Duration::from_secs(600);

/// A sign-in code on its way to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The address.
    pub to: String,
    /// What the code answers.
    pub challenge_id: String,
    /// Six digits.
    pub code: String,
}

struct Challenge {
    email: String,
    code: String,
    attempts_left: u32,
    sent: Instant,
}

/// A device session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) user_id: String,
    pub(super) client_public_key: String,
    pub(super) revoked: bool,
}

/// A user.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) email: String,
    pub(super) display_name: String,
}

/// A game of a user.
#[derive(Debug, Clone)]
pub(super) struct Game {
    pub(super) owner: String,
    pub(super) title: String,
}

/// The request behind a change, as the gateway has named it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cause<'a> {
    pub(super) request_id: &'a str,
    pub(super) trace_id: &'a str,
}

struct Tables {
    challenges: Bounded<Challenge>,
    sessions: Bounded<Session>,
    accounts: Bounded<Account>,
    games: Bounded<Game>,
}

/// Everything, behind one lock: no call holds it for longer than a look-up. A change is told under it, so that
/// events come in the order of what they tell.
pub(super) struct State {
    tables: Mutex<Tables>,
    outbox: mpsc::Sender<Mail>,
    journal: Arc<Journal>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

impl State {
    pub(super) fn new(outbox: mpsc::Sender<Mail>, journal: Arc<Journal>) -> Self {
        let tables = Tables {
            challenges: Bounded::new(ENTRIES_MAX),
            sessions: Bounded::new(ENTRIES_MAX),
            accounts: Bounded::new(ENTRIES_MAX),
            games: Bounded::new(ENTRIES_MAX),
        };
        Self { tables: Mutex::new(tables), outbox, journal }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Mails a code; gives the id of the challenge that it answers.
    pub(super) fn challenge(&self, email: &str) -> Result<String, Failure> {
        let email = email.trim().to_lowercase();
        let (name, domain) = email.split_once('@').unwrap_or_default();
        if name.is_empty() || domain.is_empty() || email.len() > 254 || email.contains(char::is_whitespace) {
            return Err(Failure::new(422, "email.invalid", "This is no e-mail address"));
        }
        let challenge_id = fresh_id("challenge")?;
        let code = format!("{:06}", getrandom::u32()? % 1_000_000);
        let mail = Mail { to: email.clone(), challenge_id: challenge_id.clone(), code: code.clone() };
        let challenge = Challenge { email, code, attempts_left: CODE_ATTEMPTS_MAX, sent: Instant::now() };
        self.tables().challenges.insert(challenge_id.clone(), challenge);
        if self.outbox.try_send(mail).is_err() {
            tracing::debug!("nobody takes the mails of the stand-in backend");
        }
        Ok(challenge_id)
    }

    /// Opens a session for the device that holds the key; gives the ids of the session and of its user.
    pub(super) fn confirm(&self, challenge_id: &str, code: &str, key: &str) -> Result<(String, String), Failure> {
        let raw: Option<[u8; 32]> = STANDARD.decode(key).ok().and_then(|raw| raw.try_into().ok());
        if raw.is_none_or(|raw| VerifyingKey::from_bytes(&raw).is_err()) {
            return Err(Failure::new(422, "key.invalid", "client_public_key is no Ed25519 public key"));
        }
        let session_id = fresh_id("session")?;
        let mut tables = self.tables();
        let email = tables.challenges.get_mut(challenge_id).map(|challenge| challenge.answer(code));
        let email = email.ok_or(Failure::new(404, "challenge.unknown", "No such challenge"))??;
        let user_id = user_id(&email);
        if tables.accounts.get(&user_id).is_none() {
            let display_name = email.split('@').next().unwrap_or_default().to_owned();
            tables.accounts.insert(user_id.clone(), Account { email, display_name });
        }
        let session = Session { user_id: user_id.clone(), client_public_key: key.to_owned(), revoked: false };
        tables.sessions.insert(session_id.clone(), session);
        Ok((session_id, user_id))
    }

    pub(super) fn session(&self, id: &str) -> Result<Session, Failure> {
        self.tables().sessions.get(id).cloned().ok_or(Failure::new(404, "session.unknown", "No such session"))
    }

    pub(super) fn revoke(&self, id: &str, reason: &str) -> Result<(), Failure> {
        let mut tables = self.tables();
        let session = tables.sessions.get_mut(id);
        session.ok_or(Failure::new(404, "session.unknown", "No such session"))?.revoked = true;
        let (device_session_id, reason) = (id.to_owned(), reason.to_owned());
        let invalidation = SessionInvalidation { device_session_id, reason, ..SessionInvalidation::default() };
        self.journal.push(Kind::SessionInvalidation(invalidation));
        Ok(())
    }

    pub(super) fn account(&self, user_id: &str) -> Result<Account, Failure> {
        self.tables().accounts.get(user_id).cloned().ok_or(Failure::new(404, "user.unknown", "No such user"))
    }

    pub(super) fn rename(&self, user_id: &str, display_name: &str, cause: Cause<'_>) -> Result<Account, Failure> {
        let display_name = valid_name(display_name)?;
        let event_id = fresh_id("event")?;
        let mut tables = self.tables();
        let account = tables.accounts.get_mut(user_id).ok_or(Failure::new(404, "user.unknown", "No such user"))?;
        account.display_name = display_name;
        self.tell(user_id, "user.account.renamed", event_id, &account.shown(user_id), cause);
        Ok(account.clone())
    }

    /// Gives what the owner may see of it.
    pub(super) fn open_game(&self, owner: &str, title: &str, cause: Cause<'_>) -> Result<Value, Failure> {
        let game = Game { owner: owner.to_owned(), title: valid_name(title)? };
        let (id, event_id) = (fresh_id("game")?, fresh_id("event")?);
        let shown = json!({ "game_id": id, "title": game.title });
        let mut tables = self.tables();
        tables.games.insert(id, game);
        self.tell(owner, "user.games.opened", event_id, &shown, cause);
        Ok(shown)
    }

    /// A game of this owner: those of others do not exist for them.
    pub(super) fn game(&self, id: &str, owner: &str) -> Result<Game, Failure> {
        let game = self.tables().games.get(id).filter(|game| game.owner == owner).cloned();
        game.ok_or(Failure::new(404, "game.unknown", "No such game"))
    }

    /// Pushes an event to the devices of a user.
    fn tell(&self, user_id: &str, kind: &str, event_id: String, payload: &Value, cause: Cause<'_>) {
        self.journal.push(Kind::ClientEvent(ClientEvent {
            user_id: user_id.to_owned(),
            kind: kind.to_owned(),
            payload: payload.to_string().into(),
            event_id,
            request_id: cause.request_id.to_owned(),
            trace_id: cause.trace_id.to_owned(),
            timestamp_ms: unix_ms(),
            ..ClientEvent::default()
        }));
    }
}

impl Account {
    /// What its user may see of it.
    pub(super) fn shown(&self, user_id: &str) -> Value {
        json!({ "user_id": user_id, "email": self.email, "display_name": self.display_name })
    }
}

impl Challenge {
    /// The e-mail address that is confirmed. A code is good once, for a while, and for a few guesses.
    fn answer(&mut self, code: &str) -> Result<String, Failure> {
        if self.attempts_left == 0 || self.sent.elapsed() > CODE_LIFE {
            return Err(Failure::new(410, "challenge.over", "The code is used up; ask for a new one"));
        }
        self.attempts_left -= 1;
        if self.code != code {
            return Err(Failure::new(422, "code.wrong", "This is not the code"));
        }
        self.attempts_left = 0;
        Ok(self.email.clone())
    }
}

fn valid_name(name: &str) -> Result<String, Failure> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 64 || name.contains(char::is_control) {
        return Err(Failure::new(422, "name.invalid", "A name has 1 to 64 characters"));
    }
    Ok(name.to_owned())
}

/// The same address is the same user, for as long as the process lives and after.
fn user_id(email: &str) -> String {
    let mut id = "user-".to_owned();
    for byte in Sha256::digest(email).iter().take(6) {
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

fn fresh_id(kind: &str) -> Result<String, Failure> {
    Ok(format!("{kind}-{:016x}{:016x}", getrandom::u64()?, getrandom::u64()?))
}

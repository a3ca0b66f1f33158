//! Changes as people read them.

use super::{Change, Changes, Hanging, KeyChange, Takes, What};
use serde_json::Value as Json;
use std::fmt::{self, Display, Formatter};

/// The rest of a longer value is left out.
const VALUE_CHARS_MAX: usize = 60;

impl Display for Changes {
    /// One line for each part, and below it what differs and what hangs on it.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|change| change.part.chars().count()).max().unwrap_or_default();
        self.0.iter().try_for_each(|change| write(f, change, width))
    }
}

impl Changes {
    /// How many there are of each kind, in words.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |what| self.0.iter().filter(|change| change.what == what).count();
        let kinds = [(What::Added, "added"), (What::Changed, "changed"), (What::Removed, "removed")];
        let counts: Vec<String> = kinds
            .into_iter()
            .map(|(what, word)| (count(what), word))
            .filter(|(count, _)| *count > 0)
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        if counts.is_empty() { "nothing differs".to_owned() } else { counts.join(", ") }
    }
}

fn write(f: &mut Formatter<'_>, change: &Change, width: usize) -> fmt::Result {
    let sign = match change.what {
        What::Added => '+',
        What::Changed => '~',
        What::Removed => '-',
    };
    writeln!(f, "{sign} {:<width$}  {}", change.part, change.takes)?;
    let keys = change.keys.iter().map(|key| key.key.chars().count()).max().unwrap_or_default();
    for key in &change.keys {
        match key.key.as_str() {
            "" => writeln!(f, "    {}", Difference(key))?,
            name => writeln!(f, "    {name:<keys$}  {}", Difference(key))?,
        }
    }
    if !change.built_on.is_empty() {
        writeln!(f, "    because of {}", change.built_on.join(", "))?;
    }
    change
        .hanging
        .filter(|hanging| *hanging != Hanging::default())
        .map_or(Ok(()), |hanging| writeln!(f, "    {hanging}"))
}

struct Difference<'a>(&'a KeyChange);

impl Display for Difference<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let KeyChange { old, new, is_content, .. } = self.0;
        match (old, new) {
            (Some(path), _) if *is_content => write!(f, "what is in {}", short(path)),
            (Some(old), Some(new)) if old == new => write!(f, "{} (what differs is not shown)", short(old)),
            (old, new) => {
                let side = |value: &Option<Json>| value.as_ref().map_or_else(|| "nothing".to_owned(), short);
                write!(f, "{} → {}", side(old), side(new))
            }
        }
    }
}

fn short(value: &Json) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    text.chars().take(VALUE_CHARS_MAX - 1).chain(['…']).collect()
}

impl Display for Takes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtOnce => "taken up at once",
            Self::KeepsState => "taken up at once, keeps its state",
            Self::BeginsAnew => "begins anew",
            Self::Ends => "ends",
            Self::NeedsUpgrade => "needs an upgrade: portcullis upgrade",
        })
    }
}

impl Display for Hanging {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let of = |count: usize, what: &str| match count {
            1 => format!("1 {what}"),
            count => format!("{count} {what}s"),
        };
        let fates =
            [(self.untouched, "not touched"), (self.kept, "kept"), (self.drained, "drained"), (self.cut, "cut")];
        let fates: Vec<String> =
            fates.into_iter().filter(|(count, _)| *count > 0).map(|(count, fate)| format!("{count} {fate}")).collect();
        let streams = (self.streams() > 0).then(|| format!("{}: {}", of(self.streams(), "stream"), fates.join(", ")));
        let requests = (self.requests > 0).then(|| format!("{} in flight", of(self.requests, "request")));
        f.write_str(&streams.into_iter().chain(requests).collect::<Vec<_>>().join("; "))
    }
}

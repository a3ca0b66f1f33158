//! From YAML text to a tree.
//!
//! Less than all of YAML is taken: one document, no tags, no merge keys, string keys. Aliases are taken, but
//! what they add up to is limited, so that a small file cannot become a large configuration.

use super::{
    expand::{Env, expand},
    index::Index,
    problem::{FOUND_MAX, Position, Problem},
    scalar::{Meaning, plain},
    syntax, text,
    tree::{Entry, NODE_WEIGHT, Node, Scalar, Value},
    unseen,
};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::{borrow::Cow, collections::HashMap};

/// The most levels; a configuration has about ten.
const DEPTH_MAX: usize = 64;
/// The most that aliases and variables may expand a file to.
const WEIGHT_MAX: usize = 16 << 20;

/// Tabs are taken one by one, each by parsing anew, as long as that comes to no more than so many bytes.
const REPARSED_MAX: usize = 64 << 20;

/// Parses a text. What is wrong goes to `problems`; without a tree there is nothing more to say.
pub(super) fn parse(text: &str, env: &Env<'_>, problems: &mut Vec<Problem>) -> Option<Node> {
    let known = problems.len();
    let mut text = Cow::Borrowed(text);
    let mut reparsed = 0;
    let error = loop {
        match build(&text, env, problems) {
            Ok(root) => return root,
            Err(error) => match syntax::without_tabs(&text, &error).filter(|_| reparsed < REPARSED_MAX) {
                Some(without) => text = without.into(),
                None => break error,
            },
        }
        problems.truncate(known);
        reparsed += text.len();
    };
    problems.extend(unseen::ahead_of(&text, error.marker().line()));
    problems.push(syntax::problem(&text, &error));
    None
}

fn build(text: &str, env: &Env<'_>, problems: &mut Vec<Problem>) -> Result<Option<Node>, ScanError> {
    let mut builder = Builder {
        env,
        problems,
        open: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        weight: 0,
        documents: 0,
        has_unseen: false,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event?;
        if let Err(problem) = builder.take(event, span) {
            builder.problems.push(*problem);
            return Ok(None);
        }
    }
    // What else is said of such a key would only mislead.
    let root = builder.root.filter(|_| !builder.has_unseen);
    if root.is_none() && problems.is_empty() {
        // It looked as if there were something: a byte order mark behind a comment, say.
        problems.push(*text::empty());
    }
    Ok(root)
}

/// A mapping or list whose end has not come yet.
struct Open {
    at: Position,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, index: Index, key: Option<Key> },
}

/// The key of the value that comes next.
enum Key {
    Taken(String, Position),
    /// Its value is dropped, as the key has a problem.
    Refused,
}

/// A problem that ends parsing.
type Fatal = Box<Problem>;

struct Builder<'a> {
    env: &'a Env<'a>,
    problems: &'a mut Vec<Problem>,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Node>,
    weight: usize,
    documents: usize,
    /// Whether a key has a character that nobody sees.
    has_unseen: bool,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Fatal> {
        let at = position(span);
        if self.problems.len() >= FOUND_MAX {
            return Err(problem(at, "there are too many problems to go on", "begin with the first"));
        }
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(problem(
                        at,
                        "a second YAML document begins here",
                        "a configuration is one document: remove the `---`, or keep the rest in a file of its own",
                    ));
                }
            }
            Event::Alias(anchor) => return self.alias(anchor, at),
            Event::Scalar(text, style, anchor, tag) => {
                self.untagged(tag.is_some(), at);
                return self.scalar(&text, style, anchor, at);
            }
            Event::SequenceStart(anchor, tag) => {
                self.untagged(tag.is_some(), at);
                return self.enter(anchor, at, Inside::List(Vec::new()));
            }
            Event::MappingStart(anchor, tag) => {
                self.untagged(tag.is_some(), at);
                let inside = Inside::Map { entries: Vec::new(), index: Index::default(), key: None };
                return self.enter(anchor, at, inside);
            }
            Event::SequenceEnd | Event::MappingEnd => return self.leave(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn untagged(&mut self, is_tagged: bool, at: Position) {
        if is_tagged {
            let remedy = "remove the tag; a quoted value is a text, a plain one may be a number or true or false";
            self.problems.push(*problem(at, "YAML tags are not supported", remedy));
        }
    }

    fn enter(&mut self, anchor: usize, at: Position, inside: Inside) -> Result<(), Fatal> {
        if self.open.len() >= DEPTH_MAX {
            return Err(too_deep(at));
        }
        self.weigh(NODE_WEIGHT, at)?;
        self.open.push(Open { at, anchor, inside });
        Ok(())
    }

    fn leave(&mut self) -> Result<(), Fatal> {
        let Some(Open { at, anchor, inside }) = self.open.pop() else { return Ok(()) };
        let value = match inside {
            Inside::List(items) => Value::List(items),
            Inside::Map { entries, .. } => Value::Map(entries),
        };
        self.place(Node { at, value }, anchor)
    }

    fn alias(&mut self, anchor: usize, at: Position) -> Result<(), Fatal> {
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return Err(problem(at, "this alias stands within its own anchor", "write the value out"));
        };
        if self.open.len() + node.height() > DEPTH_MAX {
            return Err(too_deep(at));
        }
        self.weigh(node.weight(), at)?;
        self.place(node, 0)
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, anchor: usize, at: Position) -> Result<(), Fatal> {
        let is_plain = style == ScalarStyle::Plain;
        let scalar = if self.at_key() {
            let meaning = if is_plain { plain(text) } else { Meaning::Text };
            Value::Scalar(Scalar { text: text.to_owned(), meaning, written: None })
        } else {
            match expand(text, self.env) {
                Ok(expanded) => {
                    let resolves = is_plain && (expanded.is_variable || !expanded.has_variables);
                    let meaning = if resolves { plain(&expanded.text) } else { Meaning::Text };
                    let written = expanded.has_variables.then(|| text.to_owned());
                    Value::Scalar(Scalar { text: expanded.text, meaning, written })
                }
                Err(found) => {
                    self.problems.extend(found.into_iter().map(|found| *problem(at, &found.what, &found.remedy)));
                    Value::Broken
                }
            }
        };
        let node = Node { at, value: scalar };
        self.weigh(node.weight(), at)?;
        self.place(node, anchor)
    }

    fn at_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { inside: Inside::Map { key: None, .. }, .. }))
    }

    /// Puts a whole node where it belongs: the next item of a list, the next key or value of a mapping.
    fn place(&mut self, mut node: Node, anchor: usize) -> Result<(), Fatal> {
        if anchor > 0 {
            self.weigh(node.weight(), node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.inside) {
            None => self.root = Some(node),
            Some(Inside::List(items)) => items.push(node),
            Some(Inside::Map { entries, index, key }) => match key.take() {
                Some(Key::Refused) => {}
                Some(Key::Taken(key, key_at)) => {
                    // The parser marks a value that is not there at whatever comes next.
                    if node.at.width == 0 {
                        node.at = key_at;
                    }
                    entries.push(Entry { key, key_at, node });
                    index.follow(entries);
                }
                None => {
                    let unseen = node.text().and_then(|key| unseen::in_key(key, node.at));
                    self.has_unseen |= unseen.is_some();
                    self.problems.extend(unseen.map(|problem| *problem));
                    *key = Some(match usable_key(node, |key| index.find(key, entries)) {
                        Ok((name, at)) => Key::Taken(name, at),
                        Err(problem) => {
                            self.problems.push(*problem);
                            Key::Refused
                        }
                    });
                }
            },
        }
        Ok(())
    }

    fn weigh(&mut self, weight: usize, at: Position) -> Result<(), Fatal> {
        self.weight = self.weight.saturating_add(weight);
        if self.weight > WEIGHT_MAX {
            return Err(problem(
                at,
                "the configuration grows beyond all measure through its aliases or variables",
                "write the parts out instead of repeating them with `*alias`",
            ));
        }
        Ok(())
    }
}

fn usable_key(node: Node, known: impl FnOnce(&str) -> Option<Position>) -> Result<(String, Position), Fatal> {
    let Value::Scalar(Scalar { text, meaning, .. }) = node.value else {
        return Err(problem(node.at, "a key must be a text, not a list or a mapping", "write a name ahead of the `:`"));
    };
    if meaning != Meaning::Text {
        let remedy = format!("quote it: `\"{text}\":`");
        return Err(problem(node.at, &format!("the key `{text}` is not a text"), &remedy));
    }
    if text == "<<" {
        let remedy = "write the keys out, or use a whole value again with `*alias`";
        return Err(problem(node.at, "merge keys (`<<`) are not supported", remedy));
    }
    match known(&text) {
        Some(first) => Err(problem(
            node.at,
            &format!("duplicate key `{text}`: it is already on line {}", first.line),
            "keep one of the two",
        )),
        None => Ok((text, node.at)),
    }
}

fn position(span: Span) -> Position {
    let width = if span.start.line() == span.end.line() { span.len() } else { 1 };
    Position { line: span.start.line(), column: span.start.col() + 1, width }
}

fn too_deep(at: Position) -> Fatal {
    problem(at, &format!("more than {DEPTH_MAX} levels of nesting"), "no part of a configuration is this deep")
}

fn problem(at: Position, what: &str, remedy: &str) -> Fatal {
    Box::new(Problem::error(at, "", what, remedy))
}

//! `gateway.yaml`: from text to a checked configuration.
//!
//! A compiler in five steps, each of which gathers every problem that it can see: the text ([`parse`]) becomes a
//! tree that knows its places, variables are filled in, the tree is held against the schema, it becomes the
//! typed [`Config`], and what no type can say is checked. Nothing of a configuration with an error is used.

mod check;
mod conceal;
pub mod descriptors;
mod expand;
pub(crate) mod file;
mod files;
mod forms;
mod index;
mod leaf;
mod lookup;
mod mask;
mod nearest;
mod parser;
pub(crate) mod pem;
mod placed;
mod problem;
mod render;
mod resolve;
mod scalar;
pub mod secrets;
mod shape;
pub mod source;
pub(crate) mod spelling;
mod syntax;
mod text;
mod tree;
mod typed;
mod unseen;
mod values;

pub use expand::{Env, of_the_process};
pub use placed::{Expanded, Placed, Unplaced};
pub use problem::{Position, Problem, Report, Severity};
pub use source::Config;
pub use values::network;

use check::Outside;
use forms::Forms;
use serde_json::Value as Json;
use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};
use tree::Node;

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is probably not meant as it is written.
    pub warnings: Report,
    /// The folder that relative paths in it are taken from.
    pub base_dir: PathBuf,
    /// The text that it was read from.
    pub text: Arc<str>,
    variables: Vec<(String, String)>,
    file: Arc<str>,
    tree: Arc<Node>,
}

impl Loaded {
    /// The configuration as YAML, fit to be shown: secrets are references, what came from the environment is
    /// the `${VAR}` that was written, passwords in URLs are `***`.
    #[must_use]
    pub fn masked(&self) -> String {
        mask::masked(&self.config, &self.variables)
    }

    /// The same as a tree, without what is not given.
    #[must_use]
    pub fn shown(&self) -> Json {
        mask::shown(&self.config, &self.variables)
    }

    /// The same with values of headers as they were written, without what came from the environment.
    #[must_use]
    pub(crate) fn with_headers_as_written(self) -> Self {
        let config = mask::with_headers_as_written(self.config, &self.variables);
        Self { config, ..self }
    }

    /// What its problems call the file.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Where it stands in the file what a JSON pointer leads to.
    #[must_use]
    pub fn place(&self, pointer: &str) -> Position {
        self.tree.find(pointer).at()
    }

    /// Whether the file has what a JSON pointer leads to, which is a default otherwise.
    #[must_use]
    pub fn is_written(&self, pointer: &str) -> bool {
        self.tree.find(pointer).is_whole
    }

    /// The filters of a route in their order, with the chains in it put in their place.
    #[must_use]
    pub fn filters(&self, route: usize) -> Vec<Placed<'_>> {
        let entries = self.config.routes.get(route).map(|written| written.chain.as_slice()).unwrap_or_default();
        Expanded::of(&self.config, entries).unwrap_or_default().filters
    }

    /// A path of the configuration, with a relative one taken from its folder.
    #[must_use]
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.base_dir.join(path)
    }

    /// Logs what is probably not meant as it is written.
    pub fn log_warnings(&self) {
        for problem in self.warnings.problems() {
            let Problem { at, what, remedy, .. } = problem;
            tracing::warn!(file = self.file(), line = at.line, column = at.column, %remedy, "{what}");
        }
    }

    /// The files that the configuration names, as they are written there.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        files::named(&self.config)
    }

    /// What a file holds that the configuration names; nothing where it cannot be read, which is found by whoever
    /// uses it.
    #[must_use]
    pub fn content(&self, path: &Path) -> Vec<u8> {
        file::read(&self.resolve(path), file::BYTES_MAX).unwrap_or_default()
    }
}

/// Reads and checks a file, with the secrets and certificates that it names.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(path: &Path, env: &Env<'_>) -> Result<Loaded, Report> {
    load_from(path, env, true)
}

/// Like [`load`], without a look at secrets and certificates: for machines that do not have them.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_without_secrets(path: &Path, env: &Env<'_>) -> Result<Loaded, Report> {
    load_from(path, env, false)
}

/// Reads and checks what was read from somewhere that is no regular file, such as standard input. `name` is what its
/// problems call it; relative paths in it are taken from the working directory.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load_read(read: io::Result<Vec<u8>>, name: &str, env: &Env<'_>, has_secrets: bool) -> Result<Loaded, Report> {
    let text = text::decoded(read).map_err(|(problem, text)| Report::new(name, &text, vec![*problem]))?;
    compile(&text, name, &Outside { base_dir: Path::new(""), env, has_secrets })
}

/// Returns what a configuration's file holds, up to a little more than a configuration may have.
///
/// # Errors
/// Where it cannot be read or is no regular file.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    file::read(path, TEXT_BYTES_MAX as u64)
}

/// The most bytes that a configuration may have.
pub const TEXT_BYTES_MAX: usize = text::TEXT_MAX;

fn load_from(path: &Path, env: &Env<'_>, has_secrets: bool) -> Result<Loaded, Report> {
    let file = path.display().to_string();
    let text = text::read(path).map_err(|(problem, text)| Report::new(&file, &text, vec![*problem]))?;
    let base_dir = path.parent().unwrap_or(Path::new(""));
    compile(&text, &file, &Outside { base_dir, env, has_secrets })
}

/// Checks a text. `file` is what its problems call it; relative paths in it are taken from `base_dir`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(text: &str, file: &str, base_dir: &Path, env: &Env<'_>) -> Result<Loaded, Report> {
    compile(text, file, &Outside { base_dir, env, has_secrets: true })
}

fn compile(text: &str, file: &str, outside: &Outside<'_>) -> Result<Loaded, Report> {
    // A byte order mark is legal ahead of a YAML stream (YAML 1.2.2, 5.2); some editors write one.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let report = |mut problems: Vec<Problem>, tree: Option<&Node>| {
        conceal::settle(&mut problems, tree);
        Report::new(file, text, problems)
    };
    text::check(text).map_err(|problem| report(vec![*problem], None))?;
    let mut problems = Vec::new();
    let Some(mut tree) = parser::parse(text, outside.env, &mut problems) else { return Err(report(problems, None)) };
    resolve::resolve(&mut tree, &FORMS);
    shape::check(&tree, &FORMS, &mut problems);
    if !problems.is_empty() {
        return Err(report(problems, Some(&tree)));
    }
    let config = typed::typed(&tree).map_err(|problem| report(vec![*problem], Some(&tree)))?;
    let mut found = check::check(&config, &tree, outside);
    found.extend(unseen::in_values(text));
    let report = report(found, Some(&tree));
    if report.has_errors() {
        return Err(report);
    }
    Ok(Loaded {
        config,
        warnings: report,
        base_dir: outside.base_dir.to_owned(),
        variables: tree.variables().into_iter().map(|variable| (variable.pointer, variable.written)).collect(),
        text: text.into(),
        file: file.into(),
        tree: Arc::new(tree),
    })
}

/// The JSON Schema of a configuration.
#[must_use]
pub fn schema() -> &'static Json {
    &SCHEMA
}

static FORMS: LazyLock<Forms<'static>> = LazyLock::new(|| Forms::of(&SCHEMA));

static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
    let mut schema = schemars::schema_for!(Config);
    schema.insert("title".to_owned(), "gateway.yaml of Portcullis".into());
    schema.insert("$id".to_owned(), "urn:portcullis:gateway.schema.json".into());
    schema.to_value()
});

//! What scalars from the environment stand for, by what their places take.

use super::{
    forms::{FormId, Forms, Mapping},
    leaf,
    scalar::{Meaning, plain},
    tree::{Node, Scalar, Value},
};

/// Reads texts with variables in them as numbers, or as true or false, where no text is taken: within braces, where YAML
/// wants `${VAR}` to be quoted, there is no other way to write one. Where a text is taken, they stay what they are.
pub(super) fn resolve(tree: &mut Node, forms: &Forms<'_>) {
    if tree.has_variables() {
        visit(tree, forms, forms.root());
    }
}

fn visit(node: &mut Node, forms: &Forms<'_>, id: FormId) {
    let Some(form) = forms.get(id) else { return };
    match (&mut node.value, &form.mapping, &form.list) {
        (Value::Scalar(scalar), ..) => resolve_scalar(scalar, &form.alternatives),
        (Value::Map(entries), Mapping::Tagged(tags), _) => {
            for entry in entries {
                if let Some((_, form)) = tags.iter().find(|(tag, _)| *tag == entry.key) {
                    visit(&mut entry.node, forms, *form);
                }
            }
        }
        (Value::Map(entries), Mapping::Keys(keys), _) => {
            for entry in entries {
                if let Some(form) = keys.named.get(entry.key.as_str()).or(keys.others.as_ref()) {
                    visit(&mut entry.node, forms, *form);
                }
            }
        }
        (Value::List(items), _, Some(list)) => {
            if let Some(form) = list.items {
                items.iter_mut().for_each(|item| visit(item, forms, form));
            }
        }
        (Value::Map(_) | Value::List(_) | Value::Broken, ..) => {}
    }
}

fn resolve_scalar(scalar: &mut Scalar, schemas: &[&serde_json::Value]) {
    if scalar.written.is_none() || scalar.meaning != Meaning::Text {
        return;
    }
    let takes = |meaning| schemas.iter().any(|schema| leaf::takes_meaning(schema, meaning));
    // Files of variables and secret stores leave a line end behind.
    if !leaf::take_any_text(schemas) {
        scalar.text = scalar.text.trim().to_owned();
    }
    let meaning = plain(&scalar.text);
    if !takes(Meaning::Text) && meaning != Meaning::Null && takes(meaning) {
        scalar.meaning = meaning;
    }
}

//! stub
use crate::api::{BuildFault, Configured, Filter, Parts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
/// stub
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}
impl Configured for Config {
    const NAME: &'static str = "budget";
    fn build(&self, _: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        Err(BuildFault { filter: Self::NAME, what: String::new() })
    }
}
use crate::api::units::Rate;
/// What callers may spend. Every rule of every budget that a chain names must allow a request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BudgetConfig {
    /// Who spends together: `client.ip`, `session.id`, `session.user_id`, `message.type`, `route`,
    /// `header.<name>`, `body.<field>`, each with `|trim` and `|lower` where wanted.
    pub key: Vec<String>,
    /// Rules that each instance counts for itself.
    #[serde(default)]
    pub instance: Vec<Rate>,
    /// Rules that every instance on the same store counts together.
    #[serde(default)]
    pub shared: Vec<Rate>,
    /// The store of the shared rules; may be left out where there is only one.
    #[serde(default)]
    pub store: Option<String>,
}

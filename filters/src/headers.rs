//! stub
use crate::api::{BuildFault, Configured, Filter, Parts};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
/// stub
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {}
impl Configured for Config {
    const NAME: &'static str = "headers";
    fn build(&self, _: &Parts) -> Result<Box<dyn Filter>, BuildFault> {
        Err(BuildFault { filter: Self::NAME, what: String::new() })
    }
}

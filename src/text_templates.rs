//! How templates of plain texts are read: tickets and letters. A name that is not there is an error,
//! a template takes so many steps and no more, and nothing is escaped: a ticket's text is made safe
//! by its tracker's adaptor, a letter's by its words.

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

/// Steps that one template may take.
const FUEL: u64 = 100_000;

/// An empty environment; lines that hold a block alone leave no line.
pub fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment
}

//! What is linked: the modules and transports that registered themselves, checked once at start.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Claim, CommandSpec, TransportSpec, Verb, Word};

/// Verbs that belong to the console itself.
pub const CONSOLE_VERBS: [&str; 10] =
    ["cancel", "create", "exec", "exit", "help", "ping", "remove", "sleep", "tree", "wait"];

/// The linked command modules.
#[derive(Clone, Debug)]
pub struct Registry {
    modules: Vec<&'static CommandSpec>,
    words: BTreeMap<&'static str, usize>,
    integer: Option<usize>,
    verbs: BTreeMap<&'static str, usize>,
}

/// Why a set of modules or transports can't work together. The text names the packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryError(String);

impl fmt::Display for RegistryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for RegistryError {}

impl RegistryError {
    /// Two packages bring something that has the same name.
    pub(crate) fn twin(what: &str, packages: [&str; 2], name: &str) -> RegistryError {
        RegistryError(format!("both {} and {} bring the {what} '{name}'", packages[0], packages[1]))
    }
}

impl Registry {
    /// The modules that are linked into this program.
    ///
    /// # Errors
    ///
    /// See [`Registry::new`].
    pub fn linked() -> Result<Registry, RegistryError> {
        Registry::new(inventory::iter::<CommandSpec>)
    }

    /// These modules, in any order.
    ///
    /// # Errors
    ///
    /// When two claim the same name, word or verb, one claims a verb of the console, or one is
    /// without help or examples.
    pub fn new(
        modules: impl IntoIterator<Item = &'static CommandSpec>,
    ) -> Result<Registry, RegistryError> {
        let mut modules: Vec<_> = modules.into_iter().collect();
        modules.sort_by_key(|module| (module.name, module.package));
        let mut registry =
            Registry { modules, words: BTreeMap::new(), integer: None, verbs: BTreeMap::new() };
        for index in 0..registry.modules.len() {
            registry.check_help(index)?;
            registry.claim_words(index)?;
            registry.claim_verbs(index)?;
        }
        Ok(registry)
    }

    /// The modules, by name.
    pub fn modules(&self) -> impl ExactSizeIterator<Item = &'static CommandSpec> {
        self.modules.iter().copied()
    }

    /// Every word of `exec`, by module.
    pub fn words(&self) -> impl Iterator<Item = &'static Word> {
        self.modules().flat_map(|module| module.words)
    }

    /// Every word of `exec` that is claimed as it is written.
    pub fn word_spellings(&self) -> impl Iterator<Item = &'static str> {
        self.words.keys().copied()
    }

    /// Every console command of a module, by module.
    pub fn verbs(&self) -> impl Iterator<Item = &'static Verb> {
        self.modules().flat_map(|module| module.verbs)
    }

    /// Every spelling of every console command of a module.
    pub fn verb_spellings(&self) -> impl Iterator<Item = &'static str> {
        self.verbs.keys().copied()
    }

    /// The module with this index in [`Registry::modules`].
    pub(crate) fn module(&self, index: usize) -> &'static CommandSpec {
        self.modules[index]
    }

    /// The index, in [`Registry::modules`], of the module that answers `word`.
    pub(crate) fn module_of_word(&self, word: &str) -> Option<usize> {
        match self.words.get(word) {
            Some(index) => Some(*index),
            None if is_integer(word) => self.integer,
            None => None,
        }
    }

    /// The word of `exec` that answers what was typed.
    pub(crate) fn word(&self, typed: &str) -> Option<&'static Word> {
        let claims = |claim| match claim {
            Claim::Word(word) => word == typed,
            Claim::Integer => is_integer(typed),
        };
        self.words().find(|word| claims(word.claim))
    }

    /// Whether a module claims this very word.
    pub(crate) fn has_word(&self, word: &str) -> bool {
        self.words.contains_key(word)
    }

    /// The index, in [`Registry::modules`], of the module that answers `verb`.
    pub(crate) fn module_of_verb(&self, verb: &str) -> Option<usize> {
        self.verbs.get(verb).copied()
    }

    fn check_help(&self, index: usize) -> Result<(), RegistryError> {
        let module = self.modules[index];
        let lacks = |what: &str| {
            Err(RegistryError(format!("module '{}' of {} {what}", module.name, module.package)))
        };
        if let Some(twin) = index.checked_sub(1).map(|before| self.modules[before])
            && twin.name == module.name
        {
            return lacks(&format!("has the same name as one of {}", twin.package));
        }
        let texts = module
            .words
            .iter()
            .flat_map(|word| [word.usage, word.help])
            .chain(module.verbs.iter().flat_map(|verb| [verb.usage, verb.help]))
            .chain([module.name, module.summary]);
        if texts.into_iter().any(|text| text.trim().is_empty()) {
            return lacks("has an empty help text");
        }
        if module.examples.is_empty() {
            return lacks("has no example");
        }
        Ok(())
    }

    fn claim_words(&mut self, index: usize) -> Result<(), RegistryError> {
        let module = self.modules[index];
        for word in module.words {
            let earlier = match word.claim {
                Claim::Word(text) => {
                    check_word(module, text)?;
                    self.words.insert(text, index)
                }
                Claim::Integer => self.integer.replace(index),
            };
            self.refuse_twin(earlier, index, &format!("the word '{}'", word.claim))?;
        }
        Ok(())
    }

    fn claim_verbs(&mut self, index: usize) -> Result<(), RegistryError> {
        let module = self.modules[index];
        for spelling in module.verbs.iter().flat_map(|verb| verb.spellings) {
            check_word(module, spelling)?;
            if CONSOLE_VERBS.contains(spelling) {
                return Err(RegistryError(format!(
                    "module '{}' of {} claims '{spelling}', which belongs to the console",
                    module.name, module.package
                )));
            }
            let earlier = self.verbs.insert(spelling, index);
            self.refuse_twin(earlier, index, &format!("the console command '{spelling}'"))?;
        }
        Ok(())
    }

    fn refuse_twin(
        &self,
        earlier: Option<usize>,
        index: usize,
        what: &str,
    ) -> Result<(), RegistryError> {
        let Some(earlier) = earlier else { return Ok(()) };
        Err(RegistryError(format!(
            "both {} and {} claim {what}",
            self.modules[earlier].package, self.modules[index].package
        )))
    }
}

/// Whether a user can type what a module claims: as one word, and not as a comment.
fn check_word(module: &CommandSpec, text: &str) -> Result<(), RegistryError> {
    if text.is_empty() || text.starts_with('#') || text.contains(char::is_whitespace) {
        return Err(RegistryError(format!(
            "module '{}' of {} claims '{text}', which is no word",
            module.name, module.package
        )));
    }
    Ok(())
}

/// The transports that are linked into this program, by name.
///
/// # Errors
///
/// When two have the same name.
pub fn linked_transports() -> Result<Vec<&'static TransportSpec>, RegistryError> {
    let mut transports: Vec<_> = inventory::iter::<TransportSpec>.into_iter().collect();
    transports.sort_by_key(|transport| (transport.name, transport.package));
    for pair in transports.windows(2) {
        if pair[0].name == pair[1].name {
            let packages = [pair[0].package, pair[1].package];
            return Err(RegistryError::twin("transport", packages, pair[0].name));
        }
    }
    Ok(transports)
}

fn is_integer(word: &str) -> bool {
    let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Command, Context, Example, Outcome, Reply};

    struct Nothing;

    impl Command for Nothing {
        fn call(&mut self, _: &mut Context<'_>, _: &Call<'_>) -> Outcome {
            Ok(Reply::EMPTY)
        }
    }

    /// A module in which nothing is wrong.
    const FINE: CommandSpec = CommandSpec {
        name: "one",
        package: "hoptree-one",
        summary: "for tests",
        words: &[Word { claim: Claim::Word("word"), usage: "word", help: "does nothing" }],
        verbs: &[Verb { spellings: &["verb"], usage: "verb", help: "does nothing" }],
        examples: &[Example { line: "exec 1 word", reply: "Ok:1" }],
        create: || Box::new(Nothing),
    };

    /// Another that claims nothing.
    const OTHER: CommandSpec =
        CommandSpec { name: "two", package: "my-two", words: &[], verbs: &[], ..FINE };

    const fn word(claim: Claim) -> Word {
        Word { claim, usage: "usage", help: "help" }
    }

    const fn verb(spellings: &'static [&'static str]) -> Verb {
        Verb { spellings, usage: "usage", help: "help" }
    }

    #[track_caller]
    fn assert_refused(modules: impl IntoIterator<Item = &'static CommandSpec>, text: &str) {
        assert_eq!(Registry::new(modules).unwrap_err().to_string(), text);
    }

    #[test]
    fn modules_are_listed_by_name_and_found_by_what_they_claim() {
        static INTEGER: CommandSpec =
            CommandSpec { words: &[word(Claim::Integer), word(Claim::Word("7"))], ..OTHER };
        let registry = Registry::new([&INTEGER, &FINE]).unwrap();
        let names: Vec<_> = registry.modules().map(|module| module.name).collect();
        assert_eq!(names, ["one", "two"]);
        assert_eq!(registry.module_of_verb("verb"), Some(0));
        for (text, module) in [
            ("word", Some(0)),
            ("7", Some(1)),
            ("-123456789012345678901234567890", Some(1)),
            ("+0", Some(1)),
            ("-", None),
            ("1.5", None),
            ("WORD", None),
        ] {
            assert_eq!(registry.module_of_word(text), module, "{text}");
        }
    }

    #[test]
    fn two_that_claim_the_same_are_refused() {
        static WORD: CommandSpec = CommandSpec { words: FINE.words, ..OTHER };
        static VERB: CommandSpec = CommandSpec { verbs: &[verb(&["a", "verb"])], ..OTHER };
        static INTEGER: CommandSpec = CommandSpec { words: &[word(Claim::Integer)], ..OTHER };
        static ANOTHER: CommandSpec = CommandSpec { name: "three", package: "my-three", ..INTEGER };
        assert_refused([&WORD, &FINE], "both hoptree-one and my-two claim the word 'word'");
        assert_refused(
            [&FINE, &VERB],
            "both hoptree-one and my-two claim the console command 'verb'",
        );
        assert_refused([&INTEGER, &ANOTHER], "both my-three and my-two claim the word 'INTEGER'");
    }

    #[test]
    fn one_that_claims_something_twice_is_refused() {
        static TWICE: CommandSpec = CommandSpec { verbs: &[verb(&["go", "go"])], ..OTHER };
        assert_refused([&TWICE], "both my-two and my-two claim the console command 'go'");
    }

    #[test]
    fn verbs_of_the_console_are_its_own() {
        static EXEC: CommandSpec = CommandSpec { verbs: &[verb(&["run", "exec"])], ..OTHER };
        assert_refused(
            [&EXEC],
            "module 'two' of my-two claims 'exec', which belongs to the console",
        );
    }

    #[test]
    fn twin_names_are_refused() {
        static TWIN: CommandSpec = CommandSpec { name: "one", ..OTHER };
        assert_refused(
            [&TWIN, &FINE],
            "module 'one' of my-two has the same name as one of hoptree-one",
        );
    }

    #[test]
    fn help_and_an_example_are_required() {
        static NO_USAGE: CommandSpec = CommandSpec {
            words: &[Word { claim: Claim::Word("go"), usage: " ", help: "help" }],
            ..OTHER
        };
        static NO_HELP: CommandSpec =
            CommandSpec { verbs: &[Verb { spellings: &["go"], usage: "go", help: "" }], ..OTHER };
        static NO_SUMMARY: CommandSpec = CommandSpec { summary: "", ..OTHER };
        static NO_EXAMPLE: CommandSpec = CommandSpec { examples: &[], ..OTHER };
        for spec in [&NO_USAGE, &NO_HELP, &NO_SUMMARY] {
            assert_refused([spec], "module 'two' of my-two has an empty help text");
        }
        assert_refused([&NO_EXAMPLE], "module 'two' of my-two has no example");
    }

    #[test]
    fn what_nobody_can_type_is_refused() {
        static BLANK: CommandSpec = CommandSpec { words: &[word(Claim::Word("a word"))], ..OTHER };
        static EMPTY: CommandSpec = CommandSpec { verbs: &[verb(&[""])], ..OTHER };
        static COMMENT: CommandSpec = CommandSpec { verbs: &[verb(&["#go"])], ..OTHER };
        for (spec, text) in [(&BLANK, "a word"), (&EMPTY, ""), (&COMMENT, "#go")] {
            assert_refused(
                [spec],
                &format!("module 'two' of my-two claims '{text}', which is no word"),
            );
        }
    }
}

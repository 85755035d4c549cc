//! The manual pages say what `--help` says: `UPDATE_EXPECT=1 cargo test -p
//! porthole --test man` writes `docs/man/` anew.

use clap::CommandFactory;
use expect_test::expect_file;
use porthole::cli::Options;

#[test]
fn manual_pages_are_those_of_the_command_line() {
    let mut command = Options::command().disable_help_subcommand(true);
    command.build();
    let of_subcommands = command
        .get_subcommands()
        .map(|subcommand| (format!("porthole-{}", subcommand.get_name()), subcommand));
    for (name, command) in of_subcommands.chain([("porthole".to_owned(), &command)]) {
        let mut page = Vec::new();
        clap_mangen::Man::new(command.clone()).title(&name).render(&mut page).unwrap();
        let path = format!("{}/../docs/man/{name}.1", env!("CARGO_MANIFEST_DIR"));
        expect_file![path].assert_eq(&String::from_utf8(page).unwrap());
    }
}

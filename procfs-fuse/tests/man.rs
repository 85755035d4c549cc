//! The manual pages say what `--help` says: `UPDATE_EXPECT=1 cargo test -p
//! procfs-fuse --test man` writes `docs/man/` anew.

use expect_test::expect_file;
use procfs_fuse::cli;

#[test]
fn manual_pages_are_those_of_the_command_line() {
    let mut command = cli::command().disable_help_subcommand(true);
    command.build();
    let of_subcommands = command
        .get_subcommands()
        .filter(|subcommand| !subcommand.is_hide_set())
        .map(|subcommand| (format!("portholefs-{}", subcommand.get_name()), subcommand));
    for (name, command) in of_subcommands.chain([("portholefs".to_owned(), &command)]) {
        let mut page = Vec::new();
        let manual = clap_mangen::Man::new(command.clone()).title(&name).section("8");
        manual.render(&mut page).unwrap();
        let path = format!("{}/../docs/man/{name}.8", env!("CARGO_MANIFEST_DIR"));
        expect_file![path].assert_eq(&String::from_utf8(page).unwrap());
    }
}

//! Sites of this process as text.

use std::hint::black_box;

use tracer::alloc::{Sites, sites};
use tracer::report::SiteTable;

#[inline(never)]
fn block(bytes: usize) -> Vec<u8> {
    black_box(vec![1; bytes])
}

#[inline(never)]
fn grown() -> Vec<u8> {
    let mut grown = black_box(Vec::with_capacity(10));
    grown.resize(1000, 1);
    black_box(grown)
}

/// Returns the table, with paths from the package on.
fn shown(table: &str) -> String {
    table.replace(concat!(env!("CARGO_MANIFEST_DIR"), "/"), "")
}

#[test]
fn functions_and_lines() {
    let recorded = sites(|| {
        let blocks: Vec<_> = (0..3).map(|_| block(500)).collect();
        (blocks, grown())
    });
    let table = SiteTable::new(&recorded.sites.unwrap());
    let expected = "\
4 sites, 2,572 bytes
bytes  allocates  site
1,500          3  sites::table::block at tests/sites/table.rs:10
                    in sites::table::functions_and_lines::{{closure}}::{{closure}} at tests/sites/table.rs:28
                    in sites::table::functions_and_lines::{{closure}} at tests/sites/table.rs:28
  990          1  sites::table::grown at tests/sites/table.rs:16
                    in sites::table::functions_and_lines::{{closure}} at tests/sites/table.rs:29
   72          1  sites::table::functions_and_lines::{{closure}} at tests/sites/table.rs:28
   10          1  sites::table::grown at tests/sites/table.rs:15
                    in sites::table::functions_and_lines::{{closure}} at tests/sites/table.rs:29
";
    assert_eq!(shown(&table.to_string()), expected);
    let whole = shown(&format!("{table:#}"));
    let lines: Vec<_> = whole.lines().map(str::trim_start).collect();
    assert!(lines[2].starts_with("1,500          3  alloc::"));
    let closure = "in sites::table::functions_and_lines::{{closure}} at tests/sites/table.rs:29";
    assert_eq!(lines.iter().filter(|line| **line == closure).count(), 2);
    let start = "in alloc_counter::sites::stretch::<impl alloc_counter::sites::Sites>::record at ";
    assert_eq!(
        lines.iter().filter(|line| line.starts_with(start)).count(),
        4
    );
}

#[test]
fn estimates_have_an_error() {
    let recorded = Sites::sampled(1000).record(|| (0..1000).for_each(|_| drop(block(1000))));
    let table = SiteTable::new(&recorded.sites.unwrap()).to_string();
    let line = table.lines().nth(2).unwrap();
    assert!(
        line.contains(" ± ") && line.contains("sites::table::block"),
        "{line}"
    );
}

#[test]
fn the_ten_heaviest() {
    #[inline(never)]
    fn down(depth: usize) {
        if depth > 0 {
            drop(block(depth));
            down(black_box(depth - 1));
        }
    }
    let recorded = sites(|| down(12));
    let table = SiteTable::new(&recorded.sites.unwrap());
    let shown = table.to_string();
    assert!(shown.starts_with("12 sites, 78 bytes\n"));
    assert_eq!(shown.matches("sites::table::block").count(), 10);
    assert!(
        shown.ends_with("                  in …\nand 2 more sites\n"),
        "{shown}"
    );
    assert_eq!(
        format!("{table:#}").matches("sites::table::block").count(),
        12
    );
    assert_eq!(
        SiteTable::new(&[]).to_string(),
        "0 sites, 0 bytes\nbytes  allocates  site\n"
    );
}

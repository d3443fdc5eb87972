//! One style sheet from `style/main.css` and what it imports.
//!
//! Nothing is rewritten for older browsers: the console asks for the same ones that its
//! WebAssembly needs, and these know layers, nesting and container queries.

use std::path::Path;

use anyhow::{Result, anyhow};
use lightningcss::{
    bundler::{Bundler, FileProvider},
    stylesheet::{MinifyOptions, ParserOptions, PrinterOptions},
};

/// The minified text of a style sheet and of everything that it imports.
pub(crate) fn bundle(main: &Path) -> Result<String> {
    // The errors borrow from the sources, which end here: only their text goes on. It names the
    // file and the line.
    let files = FileProvider::new();
    let mut sheet = Bundler::new(&files, None, ParserOptions::default())
        .bundle(main)
        .map_err(|error| anyhow!("{}: {error}", main.display()))?;
    sheet
        .minify(MinifyOptions::default())
        .map_err(|error| anyhow!("{}: {error}", main.display()))?;
    let printed = sheet
        .to_css(PrinterOptions { minify: true, ..PrinterOptions::default() })
        .map_err(|error| anyhow!("{}: {error}", main.display()))?;
    Ok(printed.code)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn imports_are_bundled_and_minified() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("part.css"), "a { color : red; }\n").unwrap();
        let main = folder.path().join("main.css");
        fs::write(&main, "@layer base;\n@import \"part.css\" layer(base);\n").unwrap();
        assert_eq!(bundle(&main).unwrap(), "@layer base{a{color:red}}");
    }

    #[test]
    fn faulty_style_sheet_is_an_error_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("main.css");
        fs::write(&main, "a { color: red;\n\n} }").unwrap();
        let error = bundle(&main).unwrap_err().to_string();
        assert!(error.contains("main.css"), "{error}");
    }
}

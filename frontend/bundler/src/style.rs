//! The style sheet, bundled from `style/main.css` and its imports.
//!
//! Nothing is rewritten for older browsers. The console requires the browsers that its WebAssembly
//! requires, and these support layers, nesting and container queries.

use std::path::Path;

use anyhow::{Result, anyhow};
use lightningcss::{
    bundler::{Bundler, FileProvider},
    stylesheet::{MinifyOptions, ParserOptions, PrinterOptions},
};

/// Returns the minified text of a style sheet and its imports.
pub(crate) fn bundle(main: &Path) -> Result<String> {
    // The errors borrow from the sources, which are dropped here, so only the text of an error is
    // passed on. It names the file and the line.
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
    fn faulty_style_sheet_is_reported_with_its_position() {
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("main.css");
        fs::write(&main, "a { color: red;\n\n} }").unwrap();
        let error = bundle(&main).unwrap_err().to_string();
        assert!(error.contains("main.css"), "{error}");
    }
}

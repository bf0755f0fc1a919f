//! Whether a page is what a strict reader takes.

/// Panics unless each element is closed where it should be, each attribute has a value in quotes,
/// text is escaped, and no coordinate is anything but a number.
pub fn check(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>\n").expect("it begins with its type");
    let mut open: Vec<&str> = Vec::new();
    let mut rest = body;
    while let Some(start) = rest.find('<') {
        check_text(&rest[..start]);
        let end = start + rest[start..].find('>').expect("a tag has an end");
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
        } else {
            let name = tag.split([' ', '/']).next().unwrap_or_default();
            check_attributes(name, tag.trim_end_matches('/')[name.len()..].trim_start());
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
    }
    check_text(rest);
    assert!(open.is_empty(), "{open:?} are not closed");
}

fn check_text(text: &str) {
    assert!(!text.contains('>'), "{text}");
    for (place, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;"];
        assert!(known.iter().any(|entity| text[place..].starts_with(entity)), "{text}");
    }
}

fn check_attributes(element: &str, attributes: &str) {
    let mut rest = attributes;
    while !rest.is_empty() {
        let (name, behind) = rest.split_once("=\"").expect("an attribute has a value");
        let (value, behind) = behind.split_once('"').expect("a value has an end");
        let well_named = name.chars().all(|letter| letter.is_ascii_alphabetic() || letter == '-');
        assert!(well_named && !value.contains('<'), "{element} {attributes}");
        check_text(value);
        let numbers = ["d", "x", "y", "cx", "cy", "r", "width", "height", "viewBox"];
        if element != "meta" && numbers.contains(&name) {
            let shown =
                |letter: char| letter.is_ascii_digit() || "MLHVZmlhvaz ,.-".contains(letter);
            assert!(value.chars().all(shown), "{element} {name}: {value}");
        }
        rest = behind.trim_start();
    }
}

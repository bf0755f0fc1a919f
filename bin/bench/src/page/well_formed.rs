//! Whether a page is what a strict reader takes, and its pictures have room for their texts.

use roxmltree::{Document, Node};

use super::picture::{LETTER, LINE, WIDTH};

/// Panics unless the page is well-formed, no coordinate is anything but a number, and the texts of
/// each picture are within it and apart from each other.
pub fn check(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>\n").expect("it begins with its type");
    let document = Document::parse(body).unwrap_or_else(|error| panic!("{error} in {page}"));
    let pictures = document.descendants().filter(|node| node.has_tag_name("svg"));
    for picture in pictures {
        picture.descendants().for_each(|node| check_coordinates(&node));
        check_texts(&picture);
    }
}

fn check_coordinates(node: &Node) {
    for attribute in node.attributes() {
        let is_place = ["d", "x", "y", "cx", "cy", "r", "viewBox"].contains(&attribute.name());
        let shown = |letter: char| letter.is_ascii_digit() || "MLHV ,.-".contains(letter);
        assert!(!is_place || attribute.value().chars().all(shown), "{attribute:?}");
    }
}

fn check_texts(picture: &Node) {
    let size = picture.attribute("viewBox").and_then(|size| size.rsplit(' ').next());
    let height = size.and_then(|height| height.parse().ok()).expect("a picture has a height");
    let mut places: Vec<(f64, f64, f64)> = Vec::new();
    for text in picture.descendants().filter(|node| node.has_tag_name("text")) {
        let number = |name| text.attribute(name).and_then(|x| x.parse::<f64>().ok());
        let (x, y) = number("x").zip(number("y")).expect("a text has a place");
        let width = text.text().unwrap_or_default().chars().count() as f64 * LETTER;
        let before = match text.attribute("class") {
            Some("end") => width,
            Some("middle") => width / 2.0,
            _ => 0.0,
        };
        let (left, right) = (x - before, x - before + width);
        assert!(left >= 0.0 && right <= WIDTH && y >= 9.0 && y + 3.0 <= height, "{text:?}");
        // A place is written to a tenth.
        let is_apart = |place: &(f64, f64, f64)| {
            right <= place.0 || place.1 <= left || (y - place.2).abs() > LINE - 0.2
        };
        assert!(places.iter().all(is_apart), "{text:?} covers another in {places:?}");
        places.push((left, right, y));
    }
}

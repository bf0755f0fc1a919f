//! The report as one page for a browser, which needs nothing from anywhere else.
//!
//! The plots are drawn here, as SVG in the page: then its style sheet can give them the colours of a
//! light or a dark screen, which pictures with colours of their own do not take.

mod axis;
mod bars;
mod distribution;
mod environment;
mod figures;
mod group;
mod labels;
mod legend;
mod lines;
mod markup;
mod plot;
#[cfg(test)]
mod sample;
mod scale;
mod section;
mod style;
mod unit;
#[cfg(test)]
mod well_formed;
mod words;

use super::report::Report;
use legend::Palette;
use markup::{Escaped, put};

/// The page, as HTML that is also XML: what the figures depend on, plots of them, and all of them.
pub fn page(report: &Report) -> String {
    let palette = Palette::of(report);
    let mut out = String::new();
    put!(
        &mut out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>hoptree bench, {}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n\
         <h1>hoptree bench</h1>\n",
        Escaped(&report.environment.date),
        include_str!("page/page.css"),
    );
    environment::write(report, &mut out);
    section::write(report, &palette, &mut out);
    figures::write(report, &mut out);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::super::report::{Load, Row};
    use super::*;

    /// The most that a page may have.
    const PAGE_BYTES_MAX: usize = 500 << 10;

    /// The page of a report with this row alone.
    fn page_of(row: Row) -> String {
        let page = page(&Report { rows: vec![row], ..sample::empty() });
        well_formed::check(&page);
        page
    }

    #[test]
    fn every_measure_has_its_plots() {
        let page = page(&sample::report());
        well_formed::check(&page);
        assert!(page.len() < PAGE_BYTES_MAX, "{} bytes", page.len());
        // Payloads three times, numbers of nodes, shapes and one, then what there is in each measure.
        assert_eq!(page.matches("<figure>").count(), 3 + 3 + 3 + 2 + 2 + 1 + 2 + 2 + 4);
        for heading in ["Latency by depth", "Throughput by window", "Footprint", "All figures"] {
            assert!(page.contains(&format!("<h2>{heading}</h2>")), "{heading}");
        }
        assert!(!page.contains("http"), "it needs nothing from anywhere else");
    }

    #[test]
    fn a_report_without_rows_has_no_plots() {
        let page = page(&sample::empty());
        well_formed::check(&page);
        assert!(page.contains("libzmq 4.3.4") && !page.contains("<figure>"));
    }

    #[test]
    fn a_busy_machine_is_told() {
        let load = |spoilt: Option<&str>| Load {
            measure: "rtt".to_owned(),
            others: 0.31,
            stolen: 0.02,
            spoilt: spoilt.map(str::to_owned),
        };
        let page_of = |load: Load| page(&Report { loads: vec![load], ..sample::empty() });
        let warning = "rtt: the machine was busy (others 31%, host 2%); spoilt: times</p>";
        assert!(page_of(load(Some("times"))).contains(warning));
        assert!(!page_of(load(None)).contains("busy"));
    }

    #[test]
    fn a_row_alone_makes_a_plot_of_any_measure() {
        for measure in ["rtt", "throughput", "create", "failure", "footprint", "flood"] {
            let mut row = sample::row(measure, "ipc", "what", "us", 12.0);
            (row.hops, row.window, row.nodes) = (Some(1), Some(1), Some(1));
            let page = page_of(row);
            assert!(page.contains("<figure>"), "{measure}");
        }
    }

    #[test]
    fn one_value_makes_a_plot() {
        let mut row = sample::row("failure", "ipc", "answer", "us", 12.0);
        (row.samples, row.histogram, row.run_p50) = (1, vec![(12.0, 1)], vec![12.0]);
        assert!(page_of(row).contains("<rect class=\"bar\""));
    }

    #[test]
    fn figures_that_cannot_be_do_no_harm() {
        for figure in [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN_POSITIVE, 0.0, -1.0] {
            for measure in ["rtt", "failure", "footprint"] {
                let mut row = sample::row(measure, "ipc", "what", "us", 12.0);
                (row.p50, row.min, row.ratio, row.floor_p50) =
                    (figure, figure, Some(figure), Some(figure));
                (row.floor, row.hops) = (Some("raw".to_owned()), Some(1));
                row.histogram = vec![(figure, 1), (figure, 2)];
                page_of(row);
            }
        }
    }

    #[test]
    fn names_are_text_and_never_markup() {
        let name = "<b a=\"1\">&amp;</b>";
        let mut report = sample::report();
        report.failures.push(name.to_owned());
        name.clone_into(&mut report.environment.machine);
        for row in &mut report.rows {
            row.transport.insert_str(0, name);
            for text in [&mut row.what, &mut row.unit, &mut row.measure] {
                text.push_str(name);
            }
            for text in row.floor.iter_mut().chain(&mut row.shape) {
                text.push_str(name);
            }
            row.beside.iter_mut().for_each(|beside| name.clone_into(&mut beside.name));
        }
        let page = page(&report);
        well_formed::check(&page);
        assert!(!page.contains("<b ") && !page.contains("&amp;</b>"));
    }
}

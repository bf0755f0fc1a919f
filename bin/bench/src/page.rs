//! The report as one page for a browser, which needs no script, and nothing from anywhere else.
//!
//! A [`summary`] comes first: which transport is best at what. Then come the plots of each measure,
//! and at the end the tables of all figures. The plots are SVG in the page, so that its style sheet
//! gives them the colours of a light or a dark screen.

mod best;
mod environment;
mod figures;
mod markup;
mod picture;
mod plot;
#[cfg(test)]
mod sample;
mod scale;
mod summary;
mod unit;
#[cfg(test)]
mod well_formed;

use clap::ValueEnum;

use super::measure::Measure;
use super::report::{Report, Row};
use markup::{Escaped, put};

/// The page, as HTML that is also XML.
pub fn page(report: &Report) -> String {
    let (rows, transports) = (&report.rows, transports(&report.rows));
    let mut out = String::new();
    put!(
        &mut out,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>hoptree bench, {}</title>\n<style>\n{}</style>\n</head>\n<body>\n\
         <h1>hoptree bench</h1>\n",
        Escaped(&report.environment.date),
        include_str!("page/page.css"),
    );
    environment::write(report, &mut out);
    if !rows.is_empty() {
        summary::write(rows, &transports, &mut out);
        write_plots(rows, &transports, &mut out);
        figures::write(rows, &mut out);
    }
    out.push_str("</body>\n</html>\n");
    out
}

/// Adds the plots, those of each measure below its name.
fn write_plots(rows: &[Row], transports: &[&str], out: &mut String) {
    for rows in rows.chunk_by(|one, other| one.measure == other.measure) {
        put!(out, "<section>\n<h2>{}</h2>\n", Escaped(&heading(&rows[0].measure)));
        out.push_str("<div class=\"figures\">\n");
        for plot in plot::plots(rows) {
            picture::write(&plot, transports, out);
        }
        out.push_str("</div>\n</section>\n");
    }
}

/// The transports, in the order in which they come.
fn transports(rows: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&&*row.transport) {
            names.push(&row.transport);
        }
    }
    names
}

/// The name of a measure, and what it is.
fn heading(measure: &str) -> String {
    let about = Measure::from_str(measure, false).map(|known| format!(": {}", known.about()));
    format!("{measure}{}", about.unwrap_or_default())
}

/// Those parts that are not empty.
fn joined<const N: usize>(parts: [&str; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::report::{Environment, Load};
    use super::*;

    /// The most that a page may have.
    const PAGE_BYTES_MAX: usize = 500 << 10;

    fn report(rows: Vec<Row>) -> Report {
        let environment = Environment { machine: "AMD EPYC".to_owned(), ..Environment::default() };
        let (failures, loads) = (Vec::new(), Vec::new());
        Report { version: 1, environment, interrupted: false, failures, loads, rows }
    }

    /// The page of a report with these rows.
    fn page_of(rows: Vec<Row>) -> String {
        let page = page(&report(rows));
        well_formed::check(&page);
        page
    }

    #[test]
    fn every_figure_is_on_the_page() {
        let rows = sample::rows();
        let page = page_of(rows.clone());
        assert!(page.len() < PAGE_BYTES_MAX, "{} bytes", page.len());
        // Two payloads along hops and near; two numbers of nodes along windows; creations along
        // nodes and near; two trees; and what there is of footprint.
        assert_eq!(page.matches("<figure>").count(), 4 + 2 + 2 + 2 + 3);
        let (summary, plots) = page.split_once("<h2>rtt: round trip").unwrap();
        let (plots, tables) = plots.split_once("<h2>All figures</h2>").unwrap();
        for row in rows {
            let figure = format!("<td>{}</td>", super::super::table::number(row.p50));
            assert!(tables.contains(&figure), "{row:?}");
            assert!([summary, plots].iter().all(|part| part.contains(&row.what)), "{row:?}");
        }
        assert!(!page.contains("http") && !page.contains("<script"), "it needs nothing else");
    }

    #[test]
    fn a_report_without_rows_has_no_plots() {
        let page = page_of(Vec::new());
        assert!(page.contains("AMD EPYC") && !page.contains("<figure>"));
    }

    #[test]
    fn a_busy_machine_is_told() {
        let page_of = |spoilt: Option<&str>| {
            let (measure, spoilt) = ("rtt".to_owned(), spoilt.map(str::to_owned));
            let load = Load { measure, others: 0.31, stolen: 0.02, spoilt };
            page(&Report { loads: vec![load], ..report(Vec::new()) })
        };
        let warning = "rtt: the machine was busy (others 31%, host 2%); spoilt: times</p>";
        assert!(page_of(Some("times")).contains(warning));
        assert!(!page_of(None).contains("busy"));
    }

    #[test]
    fn a_row_alone_makes_a_plot_of_any_measure() {
        for measure in ["rtt", "throughput", "stream", "create", "failure", "footprint", "patience"]
        {
            let row = sample::row(measure, "ipc", "what", "us", 12.0);
            let page = page_of(vec![Row { hops: Some(1), window: Some(1), ..row }]);
            assert!(page.contains("<figure>"), "{measure}");
        }
    }

    #[test]
    fn figures_that_cannot_be_do_no_harm() {
        for figure in [f64::NAN, f64::INFINITY, f64::MAX, f64::MIN_POSITIVE, 0.0, -1.0] {
            for (unit, hops) in [("us", 1), ("1/s", 2), ("KiB", 1)] {
                let good = Row { hops: Some(1), ..sample::row("rtt", "ipc", "what", unit, 12.0) };
                let [min, p50] = [figure; 2];
                let [ratio, floor_p50] = [Some(figure); 2];
                let bad = Row { hops: Some(hops), min, p50, ratio, floor_p50, ..good.clone() };
                page_of(vec![bad.clone()]);
                page_of(vec![good, bad]);
            }
        }
    }

    #[test]
    fn many_transports_have_room() {
        let variants = ["", "@open", ":tcp", ":tcp unsealed", " with a name of its own", "2"];
        let rows = sample::rows().into_iter().flat_map(|row| {
            let name = |variant| [&*row.transport, variant].concat();
            variants.map(|variant| Row { transport: name(variant), ..row.clone() })
        });
        page_of(rows.collect());
    }

    #[test]
    fn names_are_text_and_never_markup() {
        let name = "<b a=\"1\">&amp;</b>";
        let mut report = report(sample::rows());
        report.failures.push(name.to_owned());
        name.clone_into(&mut report.environment.machine);
        for row in &mut report.rows {
            let texts = [&mut row.measure, &mut row.transport, &mut row.what, &mut row.unit];
            texts.into_iter().chain(&mut row.floor).for_each(|text| text.insert_str(0, name));
        }
        let page = page(&report);
        well_formed::check(&page);
        assert!(!page.contains("<b a") && !page.contains("&amp;</b>"));
    }
}

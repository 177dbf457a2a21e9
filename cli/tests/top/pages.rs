//! The page of a running service.

use super::service::{Service, TOKEN};
use super::terminal::{DOWN, ENTER, ESC, F1, F3, F4, F6, F10, Terminal, UP};

#[test]
fn from_the_routes_to_a_failure_and_its_tree() {
    let service = Service::start(0);
    for number in 0..5 {
        service.ask(
            "GET",
            &format!("/orders/{number}"),
            &format!("get-{number}"),
        );
    }
    service.ask("POST", "/orders", "post-1");
    service.wait();

    let page = service.page();
    let token = [("TRACER_TOKEN", TOKEN)];
    let mut terminal = Terminal::run(&[&page, "--every", "100ms"], &token, (120, 40));
    let routes = terminal.wait_for(&["GET /orders/{id}", "POST /orders", "GET /wait"]);
    let figures = |route: &str| -> Vec<String> {
        let line = routes.lines().find(|it| it.trim_end().ends_with(route));
        let line = line.unwrap_or_else(|| panic!("{route}:\n{routes}"));
        line.split_whitespace().map(str::to_owned).collect()
    };
    // Requests, rate, failed, …, in flight, kept.
    let of_orders = figures("GET /orders/{id}");
    assert_eq!((&*of_orders[0], &*of_orders[2]), ("5", "0"), "{routes}");
    let of_post = figures("POST /orders");
    assert_eq!((&*of_post[0], &*of_post[2]), ("1", "1"), "{routes}");

    // What is in flight, and where it is.
    terminal.press("2");
    terminal.wait_for(&["GET /wait [waits] › wait_for_lock"]);
    terminal.press(ENTER);
    terminal.wait_for(&["in flight, as it was", "wait_for_lock @", "running"]);
    terminal.press(ESC);
    service.go_on();
    terminal.wait_for(&["No request is in flight."]);

    // The failure, its tree, and its message without the characters that would act on the terminal.
    terminal.press("4");
    terminal.wait_for(&["POST /orders [post-1]", "failed"]);
    terminal.press(ENTER);
    let shown = "no \\u{1b}[2Jspace \\u{202e}left\\r\\n漢字";
    terminal.wait_for(&["new_order", "└─ insert", shown, "Sideways"]);

    // A small terminal, the smallest, and back.
    terminal.resize(20, 5);
    terminal.wait_until("a tree of five lines", |it| {
        it.lines().count() <= 5 && it.contains("Esc")
    });
    terminal.press(ESC);
    terminal.wait_until("the list", |it| {
        it.contains("4 Failures") && !it.contains("› tr")
    });
    terminal.resize(1, 1);
    terminal.press(DOWN);
    terminal.press(UP);
    terminal.resize(80, 24);
    terminal.wait_for(&["POST /orders [post-1]", "F10Quit"]);

    // Keys of lists.
    terminal.press("3");
    terminal.wait_for(&["GET /orders/{id} [get-4]", "GET /wait [waits]"]);
    terminal.press(F4);
    terminal.press("GET-3");
    terminal.wait_until("one request", |it| {
        it.contains("Filter: GET-3_") && it.contains("[get-3]") && !it.contains("[get-4]")
    });
    terminal.press(ESC);
    terminal.wait_for(&["[get-4]"]);
    terminal.press(F6);
    terminal.wait_for(&["Sort by", "UTC", "TIME"]);
    terminal.press(DOWN);
    terminal.press(DOWN);
    terminal.press(ENTER);
    terminal.wait_for(&["TIME▼"]);
    terminal.press("I");
    terminal.wait_for(&["TIME▲"]);
    terminal.press(F1);
    terminal.wait_for(&["this help"]);
    terminal.press(ESC);
    terminal.wait_until("the end of the help", |it| !it.contains("this help"));

    // A route, and its requests.
    terminal.press("1");
    terminal.press(F3);
    terminal.press("{id}");
    terminal.press(ENTER);
    terminal.wait_until("the end of the search", |it| !it.contains("Search:"));
    terminal.press(ENTER);
    let route = terminal.wait_for(&["› GET /orders/{id}", "[get-0]"]);
    assert!(!route.contains("post-1"), "{route}");

    terminal.press(F10);
    let left = terminal.left();
    assert!(left.status.success(), "{:?}", left.status);
    assert!(!left.raw.contains(TOKEN));
    assert!(!left.raw.contains("\u{202e}"));
}

#[test]
fn a_service_that_goes_away_and_comes_back() {
    let service = Service::start(0);
    service.ask("GET", "/orders/1", "a");
    let (page, port) = (service.page(), service.port());
    let address = format!("{page}?token={TOKEN}");
    let mut terminal = Terminal::run(&[&address, "--every", "100ms"], &[], (160, 24));
    terminal.wait_for(&["1 requests", "GET /orders/{id}"]);
    service.stop();
    // What was there stays, with its age.
    terminal.wait_for(&["! ", " old: ", "expected", "GET /orders/{id}"]);
    let service = Service::start(port);
    for number in 0..2 {
        service.ask("GET", "/orders/2", &format!("b-{number}"));
    }
    terminal.wait_until("no problem", |it| {
        it.contains("2 requests") && !it.contains("! ")
    });
    terminal.press("q");
    let left = terminal.left();
    assert!(left.status.success());
    assert!(!left.raw.contains(TOKEN));
}

//! What calls keep, on the page.

use std::hint::black_box;

use tracer::call;
use tracer::recorder::{Policy, Recorder};

use crate::PATIENCE;
use crate::site::Site;

fn load(bytes: usize) -> Vec<u8> {
    let _call = call!();
    black_box(vec![1_u8; bytes])
}

/// Records a request whose call keeps as much, until it is freed by the request. Returns its trace.
fn request(recorder: &Recorder, id: &str, bytes: usize) -> u64 {
    let mut recording = recorder.begin("GET /orders");
    recording.id(id);
    let trace = recording.trace().id();
    let scope = recording.inject();
    drop(load(bytes));
    drop(scope);
    drop(recording);
    trace
}

#[test]
fn what_a_call_keeps_stands_beside_what_is_usual() {
    let policy = Policy::none().when("asked for", |ended| ended.id == Some("asked"));
    let site = Site::mounted(Recorder::builder().policy(policy).start().unwrap());
    for _ in 0..40 {
        request(&site.recorder, "", 24);
    }
    let few = request(&site.recorder, "asked", 24);
    let many = request(&site.recorder, "asked", 4_300_000);
    assert!(site.recorder.flush(PATIENCE));
    let page = |trace: u64| site.get(&format!("/debug/traces/trace/{trace}"), "").1;
    let cell =
        "<td>4.10 MiB<small class=\"warm\">keeps 4.10 MiB</small><small>usual 24 B</small></td>";
    let (usual, unusual) = (page(few), page(many));
    assert!(unusual.contains(cell), "{unusual}");
    let cell = "<td>24 B<small class=\"\">keeps 24 B</small><small>usual 24 B</small></td>";
    assert!(usual.contains(cell), "{usual}");
    // The request has freed it.
    let fact =
        "<li class=\"\">keeps <b>0 B</b><span class=\"faint\"> (usual 0 B, p99 0 B)</span></li>";
    assert!(unusual.contains(fact), "{unusual}");
    let compare = format!("/debug/traces/compare?a={many}&b={few}");
    let (_, beside) = site.get(&compare, "");
    let said = "<span class=\"warm\">keeps 4.10 MiB in A, 24 B in B</span>";
    assert!(beside.contains(said), "{beside}");
    let (_, equal) = site.get(&format!("/debug/traces/compare?a={few}&b={few}"), "");
    assert!(!equal.contains("keeps"), "{equal}");
    let json = |path: &str| -> serde_json::Value {
        serde_json::from_str(&site.get(path, "accept: application/json\r\n").1).unwrap()
    };
    let beside = json(&compare);
    let of_load = &beside["calls"][0];
    assert_eq!(
        [&of_load["a"]["net_bytes"], &of_load["b"]["net_bytes"]],
        [4_300_000, 24]
    );
    let trace = json(&format!("/debug/traces/trace/{many}"));
    let of_load = &trace["report"]["calls"][0]["compared"];
    assert_eq!(of_load["net_bytes"], 4_300_000);
    assert_eq!(of_load["usual_net_bytes"]["p50"], 24);
    let overview = json("/debug/traces");
    assert_eq!(overview["routes"][0]["recent"]["net_bytes"]["max"], 0);
}

//! `vmpack bench` on small instances.

use super::Desk;

#[test]
fn a_file_that_is_no_record_stays_as_it_is() {
    let desk = Desk::new();
    desk.write("one.vbp", "1\n10\n1\n4 3\n");
    for text in ["{\"my\":\"own\"}", "{\"my\":\"own\"}\n", "notes"] {
        desk.write("own.json", text);
        let line = "bench pack one.vbp --nodes 10 --record own.json";
        desk.check(line, 3, &["own.json:1: expected a line of an earlier"]);
        let kept = std::fs::read_to_string(desk.path("own.json")).unwrap();
        assert_eq!(kept, text);
    }
    std::fs::write(desk.path("own.json"), b"{\xff").unwrap();
    let line = "bench pack one.vbp --nodes 10 --record own.json";
    desk.check(line, 3, &["own.json:1:2: read byte 0xff"]);
    desk.check(
        "bench pack one.vbp --record /dev/null",
        2,
        &["no regular file"],
    );
}

#[test]
fn a_record_that_was_cut_off_is_taken_up_again() {
    let desk = Desk::new();
    desk.write("one.vbp", "1\n10\n1\n4 3\n");
    desk.write("two.vbp", "1\n10\n1\n6 3\n");
    let line = "bench pack one.vbp two.vbp --nodes 10 --record r.jsonl";
    desk.check(line, 0, &["2 of 2 instances proven optimal"]);
    let whole = std::fs::read_to_string(desk.path("r.jsonl")).unwrap();
    for cut in [1, 20] {
        desk.write("r.jsonl", &whole[..whole.len() - cut]);
        let again = desk.check(line, 0, &["1 of 1 instance proven optimal"]);
        assert!(again.out.contains("two.vbp"), "{}", again.out);
        let lines = std::fs::read_to_string(desk.path("r.jsonl")).unwrap();
        assert_eq!((lines.lines().count(), lines.ends_with('\n')), (2, true));
    }
}

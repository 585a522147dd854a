//! `vmpack import`: small files of our own in other programs' formats, read and then planned.

use super::Desk;

/// What is in the folder `made` can be planned.
fn plans(desk: &Desk) -> serde_json::Value {
    let files = "--cluster made/cluster.yaml --load made/load.yaml --policy made/policy.yaml";
    let line = format!("plan {files} --nodes 50 --json");
    desk.check(&line, 0, &[]).json()
}

#[test]
fn ganeti_text_is_imported_and_a_mistake_has_its_line() {
    let desk = Desk::new();
    let text = "g|u-1|preferred||\n\n\
        n1|32768|1024|20000|100|50|8|N|u-1|1\n\
        n2|32768|1024|20000|100|50|8|N|u-1|1\n\n\
        a|4096|10|2|running|Y|n1|n2|drbd||1\n\
        b|4096|10|2|running|Y|n2|n1|drbd||1\n\n\n\n";
    desk.write("ganeti.data", text);
    let line = "import ganeti ganeti.data -o made";
    desk.check(line, 0, &["2 hosts, 2 guests (0 waiting), 2 rules"]);
    assert_eq!(plans(&desk)["hosts_after"], 1);
    desk.write_edited("ganeti.data", text, "n1|n2|drbd", "n1|n9|drbd");
    desk.check(line, 3, &["error: ganeti.data:6:1: read node `n9`"]);
}

#[test]
fn bitbrains_files_are_imported_from_a_folder() {
    let desk = Desk::new();
    let header = "Timestamp [ms];\tCPU cores;\tCPU capacity provisioned [MHZ];\tCPU usage [MHZ];\tCPU usage [%];\tMemory capacity provisioned [KB];\tMemory usage [KB];\tDisk read throughput [KB/s];\tDisk write throughput [KB/s];\tNetwork received throughput [KB/s];\tNetwork transmitted throughput [KB/s]\n";
    std::fs::create_dir(desk.path("traces")).unwrap();
    for (name, usage) in [("1", 1000), ("2", 2000), ("10", 3000)] {
        let rows: String = (0..4)
            .map(|i| {
                format!(
                    "{};\t2;\t5200;\t{usage};\t0;\t4194304;\t0;\t0;\t0;\t0;\t0\n",
                    1_376_314_800 + 300 * i
                )
            })
            .collect();
        desk.write(&format!("traces/{name}.csv"), format!("{header}{rows}"));
    }
    let line = "import bitbrains traces --hosts 3,8cores,32GiB -o made --json";
    let told = desk.check(line, 0, &[]).json();
    assert_eq!((&told["hosts"], &told["waiting"]), (&3.into(), &3.into()));
    let plan = plans(&desk);
    assert_eq!(plan["hosts_after"], 1);
    assert_eq!(plan["starts"].as_array().unwrap().len(), 3);
    desk.write("traces/2.csv", format!("{header}soon;1;1;1;1;1;1\n"));
    desk.check(line, 3, &["2.csv:2:1: read `soon` as the time"]);
    desk.check(
        "import bitbrains folder --hosts 1,1cores,1GiB -o made",
        3,
        &["cannot read folder"],
    );
}

#[test]
fn azures_trace_is_imported_from_sqlite() {
    let desk = Desk::new();
    let file = rusqlite::Connection::open(desk.path("trace.sqlite")).unwrap();
    file.execute_batch(
        "CREATE TABLE vm (vmId INTEGER, tenantId INTEGER, vmTypeId INTEGER, priority INTEGER, starttime REAL, endtime REAL);
         CREATE TABLE vmType (id INTEGER, vmTypeId INTEGER, machineId INTEGER, core REAL, memory REAL, hdd REAL, ssd REAL, nic REAL);
         INSERT INTO vmType VALUES (0, 3, 1, 0.25, 0.125, 0, 0, 0), (1, 4, 1, 0.5, 0.5, 0, 0, 0);
         INSERT INTO vm VALUES (1, 1, 3, 0, -2.0, NULL), (2, 1, 4, 1, 0.0, 2.5), (3, 1, 3, 0, 2.0, NULL);",
    )
    .unwrap();
    drop(file);
    let line = "import azure trace.sqlite --hosts 2,16cores,64GiB -o made";
    desk.check(line, 0, &["2 hosts, 2 guests (2 waiting)"]);
    assert_eq!(plans(&desk)["hosts_after"], 1);
    desk.check(&format!("{line} --at 3"), 0, &["2 hosts, 2 guests"]);
    desk.check(
        &format!("{line} --machine 9"),
        3,
        &["there is no machine 9; machines are 1"],
    );
    desk.check(
        "import azure cluster.yaml --hosts 1,1cores,1GiB -o made",
        3,
        &[
            "error: cluster.yaml: ",
            "expected a SQLite file with the tables",
        ],
    );
}

#[test]
fn packing_instances_and_tables_are_imported() {
    let desk = Desk::new();
    desk.write("few.vbp", "2\n100 50\n2\n50 20 3\n40 25 2\n");
    desk.write("few.cur", "0\n1\n2\n3\n4\n");
    desk.check(
        "import vbp few.vbp --current few.cur -o made",
        0,
        &["5 hosts, 5 guests (0 waiting)"],
    );
    assert_eq!(plans(&desk)["hosts_after"], 3);
    desk.write("few.cur", "0\n1\nx\n");
    desk.check(
        "import vbp few.vbp --current few.cur -o made",
        3,
        &["error: few.cur:3:1: read `x`"],
    );
    desk.write(
        "hosts.csv",
        "name,cpu,memory,rack\nh1,8cores,16GiB,r1\nh2,8cores,16GiB,r2\n",
    );
    desk.write(
        "guests.csv",
        "name,vcpus,memory,host\na,2,4GiB,h1\nb,2,4GiB,h2\n",
    );
    desk.write(
        "load.csv",
        "guest,time,cpu\na,2026-01-05T00:00:00Z,1cores\na,2026-01-05T00:05:00Z,1.5cores\n",
    );
    let line = "import csv --hosts hosts.csv --guests guests.csv --load load.csv -o made";
    desk.check(line, 0, &["2 hosts, 2 guests (0 waiting)"]);
    assert_eq!(plans(&desk)["hosts_after"], 1);
    desk.write("load.csv", "guest,time,cpu\na,yesterday,1cores\n");
    desk.check(
        line,
        3,
        &["error: load.csv:2:1: column time: read `yesterday`"],
    );
}

#[test]
fn an_import_never_writes_over_what_it_reads() {
    let desk = Desk::new();
    let hosts = "name,cpu,memory\nh1,8cores,16GiB\n";
    std::fs::create_dir(desk.path("made")).unwrap();
    desk.write("made/cluster.yaml", hosts);
    desk.write("guests.csv", "name,vcpus,memory\na,1,1GiB\n");
    let line = "import csv --hosts made/cluster.yaml --guests guests.csv -o made";
    desk.check(line, 2, &["made/cluster.yaml is read"]);
    assert_eq!(
        std::fs::read_to_string(desk.path("made/cluster.yaml")).unwrap(),
        hosts
    );
}

#[test]
fn a_table_is_empty_twofold_or_of_another_system_and_that_is_told() {
    let desk = Desk::new();
    desk.write("hosts.csv", "name,cpu,memory\r\nh1,8cores,16GiB\r\n");
    let line = "import csv --hosts hosts.csv --guests guests.csv -o made";
    desk.write(
        "guests.csv",
        "\u{feff}name,vcpus,memory,host\r\na,1,1GiB,h1\r\nb,1,1GiB,h9\r\n",
    );
    desk.check(line, 3, &["error: guests.csv:3:1: column host: read `h9`"]);
    desk.write("guests.csv", "");
    desk.check(line, 3, &["error: guests.csv:1:1: the file is empty"]);
    desk.write("guests.csv", "name,vcpus,memory,memory\na,1,1GiB,2GiB\n");
    desk.check(line, 3, &["the column `memory` a second time"]);
}

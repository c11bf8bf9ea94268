"""`symfed` founds, invites, joins, and lets admins do what they may; secrets stay secret."""

from __future__ import annotations

import re
import stat

import pyarrow.parquet
from cli_shell import answered, as_csv, digest, pulse_both, statistics, symfed, table

from sklearn_symfed import FederatedPSR


def test_two_nodes_come_to_hold_what_all_rows_together_would_give(pair, tmp_path):
    """Founded, invited, joined, learned from CSV and Parquet, pulsed: both digests are that of all rows at once."""
    north, south = pair
    pyarrow.parquet.write_table(table(120, 300), tmp_path / "south.parquet")
    symfed("learn", tmp_path / "south.parquet", "--home", south)
    pulse_both(pair)
    assert digest(north) == digest(south) == statistics(table(0, 300)).digest
    facts = answered("status", "--home", north)
    assert facts["converged"]
    assert facts["published"]
    assert facts["rows"] == 300
    assert facts["merged_digest"] == digest(north)
    assert [(each["name"], each["role"], each["rows"], each["behind"]) for each in facts["members"]] == [
        ("north", "admin", 120, 0),
        ("south", "member", 180, 0),
    ]
    assert "all members hold the same" in symfed("status", "--home", south).stdout


def test_what_one_has_learned_and_not_published_is_told(pair, tmp_path):
    """`status` says that rows are not published, and that not all hold the same, until they were pulsed."""
    north, south = pair
    pulse_both(pair)
    assert answered("status", "--home", north)["converged"]
    symfed("learn", as_csv(table(500, 600), tmp_path / "more.csv"), "--home", north)
    facts = answered("status", "--home", north)
    assert not facts["published"]
    assert not facts["converged"]
    assert "unpublished" in symfed("status", "--home", north).stdout
    pulse_both(pair)
    assert answered("status", "--home", south)["converged"]


def test_admins_remove_promote_and_rotate(pair):
    """What an admin changes is on the roster at once, and reaches the member with the next pulses."""
    north, south = pair
    symfed("rotate", "--home", north)
    symfed("promote", "south", "--home", north)
    pulse_both(pair)
    assert answered("status", "--home", south)["epoch"] == 2
    assert {each["name"]: each["role"] for each in answered("members", "--home", south)["members"]} == {
        "north": "admin",
        "south": "admin",
    }
    symfed("remove", "south", "--home", north)
    assert [each["name"] for each in answered("members", "--home", north)["members"]] == ["north"]
    symfed("remove", "south", "--home", north, code=1)


def test_a_member_leaves_with_its_rows_or_lets_them_stay(pair, tmp_path):
    """`leave` has to be told what becomes of the rows, is pending until an admin pulses, and is done then."""
    north, south = pair
    symfed("learn", as_csv(table(120, 200), tmp_path / "south.csv"), "--home", south)
    pulse_both(pair)
    symfed("leave", "--home", south, code=2)
    symfed("leave", "--forget", "--home", south, code=3)
    symfed("pulse", "--home", north)
    symfed("pulse", "--home", south, code=3)
    symfed("pulse", "--home", south, code=1)
    assert digest(north) == statistics(table(0, 120)).digest


def test_the_recovery_key_makes_a_member_the_only_admin(pair, monkeypatch):
    """`recover` takes the key from a file or the environment, and refuses another one."""
    _, south = pair
    monkeypatch.setenv("SYMFED_RECOVERY_KEY", "0000-0000")
    symfed("recover", "--home", south, code=1)
    symfed("recover", "--home", south, "--recovery-key-file", south.parent / "recovery.key")
    roles = {each["name"]: each["role"] for each in answered("members", "--home", south)["members"]}
    assert roles == {"north": "member", "south": "admin"}


def test_a_contract_is_fixed_shown_and_changed(tmp_path):
    """`create --contract` fixes rules, `contract` shows them or puts others in their place, a wrong one is refused."""
    home, url = tmp_path / "north", f"dir://{tmp_path}/carrier"
    found = ["create", "flights", url, "--home", home, "--recovery-key-to", tmp_path / "key"]
    assert "count(" in symfed(*found, "--contract", "count( >= 10", code=1).stderr
    (tmp_path / "key").unlink(missing_ok=True)
    symfed(*found, "--contract", "count() >= 10")
    assert answered("contract", "--home", home) == {"contract": ["count() >= 10"], "flagged": []}
    symfed("contract", "count() >= 20", "--home", home)
    assert symfed("contract", "--home", home).stdout == "count() >= 20\n"
    symfed("contract", "--clear", "--home", home)
    assert answered("contract", "--home", home) == {"contract": [], "flagged": []}
    symfed("contract", "count() >= 20", "--clear", "--home", home, code=2)


def test_who_may_break_the_contract_is_shown(pair):
    """`contract` lists whom `--flag` named; a name that nobody has, a slip of the pen perhaps, is told."""
    north, _ = pair
    assert symfed("contract", "count() >= 20", "--flag", "south", "--home", north).stderr.count("Nobody") == 0
    assert symfed("contract", "--home", north).stdout == "count() >= 20\nflagged if they break a rule: south\n"
    said = symfed("contract", "count() >= 20", "--flag", "south,suoth", "--home", north).stderr
    assert "Nobody is called suoth yet." in said
    assert answered("contract", "--home", north)["flagged"] == ["south", "suoth"]


def test_rows_that_the_contract_does_not_know_are_refused_with_a_remedy(home, tmp_path):
    """A rule on a column that the first rows lack keeps them from fixing the columns, and says what to do."""
    symfed("contract", "mean('tip') > 0", "--home", home)
    rows = as_csv(table(0, 50), tmp_path / "a.csv")
    said = symfed("learn", rows, "--classes", "late", "--home", home, code=1).stderr
    assert "unknown column at line 1, column 6" in said
    assert "or let an admin change its rules before." in said
    symfed("contract", "--clear", "--home", home)
    symfed("learn", rows, "--classes", "late", "--home", home)


def test_inviting_under_the_name_of_a_member_says_whose_rows_will_go(pair, tmp_path):
    """Whoever uses the invite takes the member's place, and its rows go: that is said; of a new name nothing is."""
    north, south = pair
    symfed("learn", as_csv(table(200, 300), tmp_path / "more.csv"), "--home", south)
    pulse_both(pair)
    told = symfed("invite", "south", "--home", north).stderr
    assert "There is a 'south' already" in told
    assert "its 100 rows are gone" in told
    assert "already" not in symfed("invite", "west", "--home", north).stderr


def test_a_wait_in_vain_is_pending(pair, tmp_path):
    """`join --wait` that nobody answers exits with 3, tells the fingerprint, and the request stays."""
    north, _ = pair
    west, invite, code = tmp_path / "west", tmp_path / "invite", tmp_path / "code"
    symfed("invite", "west", "--home", north, "--to", invite, "--code-to", code)
    said = symfed("join", invite, "--code-file", code, "--home", west, "--wait", "0.01s", code=3).stderr
    assert "has not answered the request to join" in said
    assert "This node's fingerprint is" in said
    assert symfed("members", "--home", west).stdout == "No members are known yet: pulse.\n"
    symfed("pulse", "--home", north)
    symfed("pulse", "--home", west)
    assert len(answered("members", "--home", west)["members"]) == 3


def test_an_invite_comes_from_a_file_or_from_stdin(pair, tmp_path):
    """`join -` reads the invite from stdin, as `invite` prints it; a file that is missing is wrong usage."""
    north, _ = pair
    shown = symfed("invite", "west", "--home", north, "--code-to", tmp_path / "code").stdout
    given = ["--code-file", tmp_path / "code", "--home", tmp_path / "west"]
    symfed("join", tmp_path / "none", *given, code=2)
    assert "letters is no file" in symfed("join", shown.split()[1], *given, code=2).stderr
    symfed("join", "-", *given, code=3, input=shown)
    assert "admitted 'west'" in symfed("pulse", "--home", north).stdout


def test_a_federation_that_would_end_with_the_command_is_not_founded(tmp_path):
    """A carrier in memory is gone when `create` has ended, so it is refused before anything is made."""
    symfed("create", "f", "memory://f", "--home", tmp_path / "north", code=2)
    assert not (tmp_path / "north").exists()


def test_a_file_that_is_no_text_is_refused(pair, tmp_path):
    """Neither an invite nor a code nor a recovery key is read from a file of other bytes."""
    north, _ = pair
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    (tmp_path / "text").write_text("text")
    for invite, code in (("bytes", "text"), ("text", "bytes")):
        given = ["--code-file", tmp_path / code, "--home", tmp_path / "west"]
        assert "is no text" in symfed("join", tmp_path / invite, *given, code=1).stderr
    assert "is no text" in symfed("recover", "--recovery-key-file", tmp_path / "bytes", "--home", north, code=1).stderr


def test_refused_messages_are_in_the_log_and_beside_their_member(pair):
    """`log` lists refusals with time and reason; `status` shows the last one."""
    north, _ = pair
    assert answered("log", "--home", north) == {"refusals": []}
    with FederatedPSR.open(north) as node:
        node._store.add_refusal(0.0, "south", "its statistics have another digest than it says")
        assert "last refusal: its statistics have" in str(node.status()).splitlines()[3]
    (entry,) = answered("log", "--home", north)["refusals"]
    assert entry == {
        "at": "1970-01-01T00:00:00+00:00",
        "member": "south",
        "reason": "its statistics have another digest than it says",
    }
    facts = answered("status", "--home", north)
    assert [each["last_refusal"] for each in facts["members"]] == [None, entry["reason"]]
    assert "last refusal: a message of 'south'" in symfed("status", "--home", north).stdout


def test_releases_are_listed_and_the_guard_holds_back_few_rows(pair, tmp_path):
    """`releases` tells when, how many rows, and what changed; few more rows wait; no laxer guard is taken."""
    north, _ = pair
    (release,) = answered("releases", "--home", north)["releases"]
    assert (release["number"], release["rows"], release["learned"], release["forgotten"]) == (1, 120, 120, 0)
    assert release["digest"] == answered("digest", "--home", north)["local_digest"]
    symfed("learn", as_csv(table(120, 123), tmp_path / "few.csv"), "--home", north)
    assert answered("pulse", "--home", north, code=3)["status"].startswith("pending")
    symfed("learn", as_csv(table(123, 180), tmp_path / "more.csv"), "--home", north)
    symfed("pulse", "--guard", "rows=1000", "--home", north, code=3)
    symfed("pulse", "--home", north, code=3, env={"SYMFED_GUARD": "rows=1000 class_rows=20"})
    symfed("pulse", "--guard", "rows=1", "--home", north, code=1)
    symfed("pulse", "--guard", "lines=1", "--home", north, code=2)
    assert len(answered("releases", "--home", north)["releases"]) == 1
    symfed("pulse", "--wait", "2s", "--home", north, code=3)  # south keeps silent, but the rows are out
    assert symfed("releases", "--home", north).stdout.count("\n") == 2


def test_a_federation_may_be_founded_without_a_guard(tmp_path):
    """With `create --guard off` statistics of few rows go out at the first pulse."""
    found = [
        "create",
        "f",
        f"dir://{tmp_path}/carrier",
        "--home",
        tmp_path / "a",
        "--recovery-key-to",
        tmp_path / "key",
    ]
    symfed(*found, "--guard", "off")
    symfed("learn", as_csv(table(0, 3), tmp_path / "few.csv"), "--home", tmp_path / "a", "--classes", "late")
    symfed("pulse", "--home", tmp_path / "a")
    assert answered("releases", "--home", tmp_path / "a")["releases"][0]["rows"] == 3


def test_secrets_go_into_files_of_their_owner_alone_or_are_shown_once(home, tmp_path):
    """A code or key that is written to a file is in no output; such a file is new, and readable by its owner alone."""
    key = (tmp_path / "recovery.key").read_text().strip()
    assert re.fullmatch(r"(\w{4}-)+\w{4}", key)
    shown = symfed("invite", "south", "--home", home)
    code = re.search(r"^code: (\S+)$", shown.stdout, re.MULTILINE)[1]
    assert code not in shown.stderr
    where = tmp_path / "code"
    hidden = symfed("invite", "south", "--home", home, "--to", tmp_path / "invite", "--code-to", where)
    assert where.read_text().strip() not in hidden.output
    assert hidden.stdout == ""
    for file in (where, tmp_path / "recovery.key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    symfed("invite", "west", "--home", home, "--code-to", where, code=1)
    everything = "".join(symfed(what, "--home", home).output for what in ("status", "members", "log"))
    assert key not in everything
    assert code not in everything


def test_the_code_comes_by_prompt_environment_or_file_and_never_as_an_argument(pair, tmp_path):
    """Each of three ways lets a node join; the prompt does not echo, and argv has no place for it."""
    north, _ = pair
    for number, way in enumerate(("prompt", "environment", "file")):
        invite, where, home = tmp_path / f"invite-{way}", tmp_path / f"code-{way}", tmp_path / way
        symfed("invite", way, "--home", north, "--to", invite, "--code-to", where)
        code = where.read_text().strip()
        symfed("join", invite, code, "--home", home, code=2)
        options = {
            "prompt": {"input": f"{code}\n"},
            "environment": {"env": {"SYMFED_CODE": code}},
            "file": {},
        }[way]
        given = ["--code-file", where] if way == "file" else []
        result = symfed("join", invite, *given, "--home", home, code=3, **options)
        assert code not in result.output
        symfed("pulse", "--home", north)
        symfed("pulse", "--home", home)
        assert len(answered("members", "--home", north)["members"]) == 3 + number


def test_a_wrong_code_is_refused(home, tmp_path):
    """A code that is not the invite's exits with 1, and leaves no membership behind."""
    invite, code = tmp_path / "invite", tmp_path / "code"
    symfed("invite", "south", "--home", home, "--to", invite, "--code-to", code)
    code.write_text("AAAA-AAAA-AAAA-AAAA-AAAA\n")
    symfed("join", invite, "--code-file", code, "--home", tmp_path / "south", code=1)
    symfed("status", "--home", tmp_path / "south", code=1)

#!/usr/bin/env python3
"""Plants faults, one at a time, and says which scenario of the simulator finds each, and after how many runs.

    python3 tests/sim/planted.py --work DIR [--runs 40] [FAULT...]

DIR becomes a git worktree of HEAD with a build of its own, and stays for the next time. Exit status 1 when a fault
was not found, or cannot be planted any more because the code has changed.
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Name: what it is, file, code, code with the fault, scenarios that should find it.
FAULTS = {
    "crc": ("the CRC-32 of a piece is not looked at", "src/p2p/torrent_messages.cpp",
            "if (sum && *sum == info_->piece_sum(index)) {\n    const auto partial",
            "if (sum) {\n    const auto partial", ["lying-peer"]),
    "tag-sync": ("the directory of a tag or blob in its backend is not synced", "src/backend/file_backend.cpp",
                 "return disk_.sync_dir(dir);", "return Result<void>{};",
                 ["crash-restart", "crash-origins"]),
    "data-sync": ("the bytes of a pushed blob are not synced before it is acknowledged", "src/storage/sync_group.cpp",
                  "if (auto synced = file->sync(); !synced) caller->outcome = synced;", "(void)file;",
                  ["crash-origins", "crash-restart"]),
    "portion-range": ("a later portion of a piece begins one byte too far", "src/p2p/connection.cpp",
                      "info_->piece_offset(header.index) + header.offset;",
                      "info_->piece_offset(header.index) + header.offset + (header.offset > 0 ? 1 : 0);",
                      ["seeders-die", "pull-storm"]),
    "lost-retry": ("what was asked of a lost peer is never asked for again", "src/p2p/torrent_messages.cpp",
                   "    ++retries_;\n    if (!receiving_.test(index)) picker_.release(index);", "    ++retries_;",
                   ["seeders-die"]),
    "leaked-slot": ("a peer that was dialled is never forgotten", "src/p2p/torrent_peers.cpp",
                    "  self->dialing_.erase(peer.peer_id);\n", "", ["seeders-die", "crash-restart", "partition"]),
    "slots": ("room is looked for only before a peer is told that it is let in", "src/p2p/torrent_peers.cpp",
              "return peers_.size() + answering_ >=", "return peers_.size() >=", ["pull-storm", "slow-nodes"]),
    "write-back": ("a write-back that failed is not tried again", "src/retry/retry_queue.cpp",
                   "  entry->due = services_.clock.now() + pause;\n  wait_until_due(entry);\n",
                   "  entry->due = services_.clock.now() + pause;\n", ["backend-outage"]),
    "no-queue": ("a blob whose write-back cannot be queued is acknowledged", "roles/origin/upload_handler.cpp",
                 "    if (!promised) {\n      co_await session->upload->discard();\n"
                 "      co_return storage_error(promised.error());\n    }\n    promise.emplace(std::move(*promised));\n",
                 "    if (promised) promise.emplace(std::move(*promised));\n", ["disk-full"]),
    "lease": ("the collector does not look at who uses a blob", "roles/origin/leases.cpp",
              "  if (use != uses_.end() && now - use->second <= unused_for)\n    return fail(Errc::conflict, \"used {} ago\", seconds_text(now - use->second));\n",
              "  (void)use;\n", ["garbage"]),
    "endgame": ("a late piece is asked for of everybody who has it", "src/p2p/request_table.cpp",
                "if (requests.size() != 1 || ", "if (", ["pull-storm", "seeders-die"]),
    "open-file": ("a blob that was opened is never closed", "src/storage/blob_store.cpp", "  return impl_->open(digest);\n",
                  "  static auto* const kept = new std::vector<BlobPtr>;\n  auto blob = co_await impl_->open(digest);\n"
                  "  if (blob) kept->push_back(*blob);\n  co_return blob;\n", ["push-storm"]),
    "prefetch": ("a prefetch is acknowledged, and no origin asked", "src/api/origin_cluster.cpp",
                 "last = co_await impl_->origin(host).prefetch(ns, digest);", "last = Result<void>{};", ["prefetch"]),
    "rot": ("a damaged piece on disk is served", "src/storage/blob.cpp",
            "if (sum != sums->piece_sum(index))", "if (false)", ["bit-rot"]),
    "renewed": ("a tag that moves while it is copied to another cluster is not copied again", "src/retry/retry_queue.cpp",
                "  if (done && (entry->renewed != renewed || entry->renewing > 0)) co_return done;\n", "  (void)renewed;\n",
                ["replication"]),
    "taken-back": ("a tag of another cluster takes back what that one has changed since", "roles/build_index/tag_replicator.cpp",
                   "  if (there && task.forwarded) co_return Result<void>{};\n", "  task.forwarded = false;\n", ["replication"]),
    "lost-wishes": ("what waits for another cluster is forgotten at start", "roles/build_index/tag_replicator.cpp",
                    "    remote->queue().take_over(std::move(by_remote[remote->address()]));\n", "", ["replication"]),
    "early-flag": ("the flag of a blob is cleared before its backend has it", "roles/origin/write_back.cpp",
                "  if (!copied) co_return copied;\n", "", ["backend-outage", "disk-full"]),
}


def run(*command, **options):
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)


def build(work):
    built = run("cmake", "--build", str(work / "build/planted"), "--target", "krakend-sim", "-j", str(os.cpu_count()))
    if built.returncode != 0:
        sys.exit(built.stdout[-3000:])


def prepare(work):
    if not work.exists():
        run("git", "worktree", "add", "--detach", str(work), "HEAD", cwd=ROOT, check=True)
    run("git", "checkout", "-q", "--detach", "--force", run("git", "rev-parse", "HEAD", cwd=ROOT).stdout.strip(),
        cwd=work, check=True)
    run("cmake", "--preset", "sim", "-B", str(work / "build/planted"), "-DCMAKE_CXX_FLAGS=-w", cwd=work, check=True)


def find(work, scenarios, runs):
    """The scenario, the seed, what it said, and the runs that it took; nothing when no run failed."""
    simulator = work / "build/planted/tests/sim/krakend-sim"
    count = 0
    for seed in range(1, runs + 1):
        for scenario in scenarios:
            count += 1
            done = run(str(simulator), f"--scenario={scenario}", f"--seed={seed}")
            if done.returncode == 0:
                continue
            said = re.search(r"^FAILED [0-9.]+ s: (.*)", done.stdout, re.M)
            return scenario, seed, (said.group(1) if said else "the process ended")[:110], count
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", required=True, type=pathlib.Path)
    parser.add_argument("--runs", type=int, default=40, help="seeds of each scenario at most")
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=", ".join(FAULTS))
    options = parser.parse_args()
    work = options.work.resolve()
    prepare(work)
    missed = 0
    print("| fault | found by | runs |\n|---|---|---|")
    for name in options.faults or FAULTS:
        what, path, right, wrong, scenarios = FAULTS[name]
        file = work / path
        original = file.read_text()
        if original.count(right) != 1:
            sys.exit(f"{name}: {path} does not have this once any more, so the fault cannot be planted:\n{right}")
        file.write_text(original.replace(right, wrong))
        try:
            build(work)
            found = find(work, scenarios, options.runs)
        finally:
            file.write_text(original)
        if found:
            scenario, seed, said, count = found
            print(f"| {what} | `{scenario}`, seed {seed}: {said} | {count} |", flush=True)
        else:
            missed += 1
            print(f"| {what} | not found by {', '.join(scenarios)} | {options.runs * len(scenarios)} |", flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

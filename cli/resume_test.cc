// What a journal promises, with real batches that are killed, run out of disk, or meet each other.
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "batch/result_json.h"
#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

// Looks every few milliseconds at what another process does.
bool WaitUntil(const std::function<bool()>& done) {
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  while (!done()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

std::string FreshPath(std::string_view name) {
  const std::string path = TempFile(name, "");
  unlink(path.c_str());
  return path;
}

// What a journal says, line by line.
struct Lines {
  std::map<std::string, std::vector<int>> results;  // Attempts of each id that have one.
  std::map<std::string, std::vector<int>> started;
  std::vector<std::string> others;  // Torn or foreign ones.
};

Lines ReadLines(const std::string& journal) {
  Lines lines;
  for (const std::string_view line : absl::StrSplit(FileContent(journal), '\n', absl::SkipEmpty())) {
    if (const auto result = ParseResult(line)) {
      lines.results[result->id].push_back(result->attempt);
    } else if (const auto event = ParseStarted(line)) {
      lines.started[event->id].push_back(event->attempt);
    } else {
      lines.others.emplace_back(line);
    }
  }
  return lines;
}

size_t ResultsIn(const std::string& journal) { return ReadLines(journal).results.size(); }

std::map<std::string, size_t> CountLines(const std::string& path) {
  std::map<std::string, size_t> counts;
  for (const std::string_view line : absl::StrSplit(FileContent(path), '\n', absl::SkipEmpty())) {
    ++counts[std::string(line)];
  }
  return counts;
}

std::string ShellJob(std::string_view id, std::string_view script) {
  return absl::StrCat(R"({"id":")", id, R"(","argv":["sh","-c",")", script, R"("],"policy":"none"})", "\n");
}

// Runs until the file exists.
std::string WaitingJob(std::string_view id, const std::string& gate) {
  return ShellJob(id, absl::StrCat("while ! test -e ", gate, "; do sleep 0.01; done"));
}

TEST(ResumeTest, AfterAKillNoFinishedJobRunsTwiceAndCutOffOnesGetTheNextAttempt) {
  const std::string journal = FreshPath("killed.jsonl");
  const std::string ran = FreshPath("killed.ran");
  const std::string gate = FreshPath("killed.gate");
  std::string jobs = WaitingJob("waits0", gate) + WaitingJob("waits1", gate);
  constexpr int kQuick = 60;
  for (int i = 0; i < kQuick; ++i) {
    absl::StrAppend(&jobs, ShellJob(absl::StrCat("quick", i), absl::StrCat("echo quick", i, " >> ", ran)));
  }
  const std::string file = TempFile("killed.jobs", jobs);

  // Killed three times, each time a little further on.
  std::map<std::string, size_t> ran_when_finished;
  for (size_t round = 1; round <= 3; ++round) {
    StartedBrood brood({"batch", "-j", "4", "--results", journal, "--resume", file});
    ASSERT_TRUE(WaitUntil([&] { return ResultsIn(journal) >= round * 15; }));
    brood.Signal(SIGKILL);
    EXPECT_EQ(brood.Wait().exit_code, -SIGKILL);
    const std::map<std::string, size_t> counts = CountLines(ran);
    for (const auto& [id, attempts] : ReadLines(journal).results) {
      const auto count = counts.find(id);
      ASSERT_NE(count, counts.end()) << id;
      const auto [entry, first] = ran_when_finished.emplace(id, count->second);
      EXPECT_TRUE(first || entry->second == count->second) << id;
    }
  }
  TempFile("killed.gate", "");
  const Finished last = RunBrood({"batch", "-j", "4", "--results", journal, "--resume", file});
  EXPECT_EQ(last.exit_code, 0) << last.err;

  const std::string content = FileContent(journal);
  EXPECT_EQ(content.back(), '\n');
  const Lines lines = ReadLines(journal);
  EXPECT_TRUE(lines.others.empty()) << lines.others[0];
  EXPECT_EQ(lines.results.size(), kQuick + 2u);
  for (const auto& [id, attempts] : lines.results) {
    EXPECT_EQ(attempts.size(), 1u) << id;
    // The result is that of the last attempt that started, and attempts are counted without a gap.
    const std::vector<int>& started = lines.started.at(id);
    EXPECT_EQ(attempts[0], started.back()) << id;
    for (size_t i = 0; i < started.size(); ++i) EXPECT_EQ(started[i], static_cast<int>(i) + 1) << id;
  }
  EXPECT_EQ(lines.results.at("waits0"), std::vector<int>{4});
  EXPECT_EQ(lines.results.at("waits1"), std::vector<int>{4});
  const std::map<std::string, size_t> counts = CountLines(ran);
  for (const auto& [id, count] : ran_when_finished) EXPECT_EQ(counts.at(id), count) << id;
  EXPECT_EQ(RunBrood({"status", journal}).out, absl::StrCat("results\t", kQuick + 2, "\nok\t", kQuick + 2, "\n"));
}

TEST(ResumeTest, AResultThatWasTornIsRunAgain) {
  const std::string file = TempFile("torn.jobs", ShellJob("a", "true"));
  const std::string journal = FreshPath("torn.jsonl");
  ASSERT_EQ(RunBrood({"batch", "--results", journal, file}).exit_code, 0);
  const std::string whole = FileContent(journal);
  // From within the result back to within the first event.
  for (size_t size : {whole.size() - 1, whole.size() - 300, whole.find('\n') + 2, whole.find('\n') + 1, size_t{20}}) {
    TempFile("torn.jsonl", whole.substr(0, size));
    const bool started = size > whole.find('\n');
    EXPECT_EQ(RunBrood({"batch", "--results", journal, "--resume", file}).exit_code, 0);
    const Lines lines = ReadLines(journal);
    EXPECT_TRUE(lines.others.empty()) << size;
    EXPECT_EQ(lines.results.at("a"), std::vector<int>{started ? 2 : 1}) << size;
  }
}

TEST(ResumeTest, AnInterruptedBatchIsContinued) {
  const std::string gate = FreshPath("interrupted.gate");
  const std::string file = TempFile("interrupted.jobs", ShellJob("a", "true") + WaitingJob("b", gate));
  const std::string journal = FreshPath("interrupted.jsonl");
  StartedBrood brood({"batch", "-j", "2", "--results", journal, file});
  ASSERT_TRUE(WaitUntil([&] { return ResultsIn(journal) == 1 && ReadLines(journal).started.contains("b"); }));
  brood.Signal(SIGTERM);
  EXPECT_EQ(brood.Wait().exit_code, 130);
  EXPECT_EQ(RunBrood({"status", journal}).out, "results\t1\nok\t1\nunfinished\t1\n");
  TempFile("interrupted.gate", "");
  EXPECT_EQ(RunBrood({"batch", "--results", journal, "--resume", file}).exit_code, 0);
  EXPECT_EQ(ReadLines(journal).results.at("b"), std::vector<int>{2});
}

TEST(ResumeTest, TwoBatchesNeverWriteToOneJournal) {
  const std::string gate = FreshPath("two.gate");
  const std::string file = TempFile("two.jobs", WaitingJob("a", gate));
  const std::string journal = FreshPath("two.jsonl");
  StartedBrood first({"batch", "--results", journal, file});
  ASSERT_TRUE(WaitUntil([&] { return ReadLines(journal).started.contains("a"); }));
  EXPECT_EQ(RunBrood({"status", journal}).out, "results\t0\nrunning\t1\n");
  const std::string before = FileContent(journal);
  for (const std::vector<std::string>& args : {std::vector<std::string>{"batch", "--results", journal, file},
                                               {"batch", "--results", journal, "--resume", file}}) {
    const Finished second = RunBrood(args);
    EXPECT_EQ(second.exit_code, 125);
    EXPECT_EQ(second.err, absl::StrCat("brood batch: lock ", journal, ": another batch writes to it\n"));
  }
  EXPECT_EQ(FileContent(journal), before);
  TempFile("two.gate", "");
  EXPECT_EQ(first.Wait().exit_code, 0);
  EXPECT_EQ(ReadLines(journal).results.at("a"), std::vector<int>{1});
}

TEST(ResumeTest, TheJournalOfAnotherBatchIsRefusedAndLeftAlone) {
  const std::string journal = FreshPath("other.jsonl");
  ASSERT_EQ(RunBrood({"batch", "--results", journal, TempFile("other1.jobs", ShellJob("a", "true"))}).exit_code, 0);
  const std::string before = FileContent(journal);
  const std::string trace = FreshPath("other.trace");
  const std::string other = TempFile("other2.jobs", ShellJob("b", "touch " + trace));
  const Finished refused = RunBrood({"batch", "--results", journal, "--resume", other});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_EQ(refused.err,
            absl::StrCat(journal, ": the journal of another batch: none of its jobs (\"a\", ...) is in ", other, "\n"));
  const std::string changed = TempFile("other3.jobs", ShellJob("b", "touch " + trace) + ShellJob("a", "false"));
  const Finished stale = RunBrood({"batch", "--results", journal, "--resume", changed});
  EXPECT_EQ(stale.exit_code, 2);
  EXPECT_EQ(stale.err, absl::StrCat(changed, ":2: job \"a\" has a result in ", journal,
                                    " and was changed since; give it another id to run it\n"));
  EXPECT_EQ(FileContent(journal), before);
  EXPECT_NE(access(trace.c_str(), F_OK), 0);
}

TEST(ResumeTest, AFileThatIsNoJournalIsRefusedWithWhatWasExpectedAndLeftAlone) {
  const std::string content = "dear diary,\nthe last line has no line feed";
  const std::string diary = TempFile("diary.txt", content);
  const std::string message = absl::StrCat("read ", diary,
                                           ": no line of it is one of a journal; expected a file that brood "
                                           "batch --results has written\n");
  const Finished status = RunBrood({"status", diary});
  EXPECT_EQ(status.exit_code, 2);
  EXPECT_EQ(status.out, "");
  EXPECT_EQ(status.err, absl::StrCat("brood status: ", message));
  const std::string trace = FreshPath("diary.trace");
  const std::string file = TempFile("diary.jobs", ShellJob("a", "touch " + trace));
  const Finished resumed = RunBrood({"batch", "--results", diary, "--resume", file});
  EXPECT_EQ(resumed.exit_code, 2);
  EXPECT_EQ(resumed.err, absl::StrCat("brood batch: ", message));
  EXPECT_NE(access(trace.c_str(), F_OK), 0);
  EXPECT_EQ(FileContent(diary), content);

  TempFile("diary.txt", "dear diary,\n{\"v\":1,\"id\":\"a\",\"attempt\":1,\"status\":\"ok\"}\n");
  EXPECT_EQ(RunBrood({"status", diary}).out, "results\t1\nok\t1\n");
  EXPECT_EQ(RunBrood({"status", TempFile("diary.txt", "")}).out, "results\t0\n");
}

TEST(ResumeTest, JobsThatWereTakenOutOfTheFileAreToldAndNewOnesRun) {
  const std::string journal = FreshPath("edited.jsonl");
  const std::string before = TempFile("edited1.jobs", ShellJob("a", "true") + ShellJob("gone", "false"));
  ASSERT_EQ(RunBrood({"batch", "--results", journal, before}).exit_code, 1);
  const std::string after = TempFile("edited2.jobs", ShellJob("new", "true") + ShellJob("a", "true"));
  const Finished resumed = RunBrood({"batch", "--results", journal, "--resume", after});
  EXPECT_EQ(resumed.exit_code, 0);
  EXPECT_TRUE(absl::StrContains(resumed.err, absl::StrCat("warning: 1 jobs of ", journal, " (\"gone\") are not in ")))
      << resumed.err;
  EXPECT_EQ(ReadLines(journal).results.at("new"), std::vector<int>{1});
  EXPECT_EQ(ReadLines(journal).results.at("a").size(), 1u);
}

TEST(ResumeTest, AFullDiskEndsTheBatchWithWholeLinesAndItIsContinuedWhenThereIsRoom) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root to mount a small file system";
  // Nothing that is mounted here is seen by the machine.
  ASSERT_EQ(unshare(CLONE_NEWNS), 0) << strerror(errno);
  ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << strerror(errno);
  const std::string disk = FreshPath("disk");
  ASSERT_EQ(mkdir(disk.c_str(), 0700), 0);
  ASSERT_EQ(mount("brood-test", disk.c_str(), "tmpfs", MS_NODEV | MS_NOSUID, "size=64k"), 0) << strerror(errno);
  const std::string journal = disk + "/results.jsonl";
  std::string jobs;
  constexpr size_t kJobs = 150;
  for (size_t i = 0; i < kJobs; ++i) absl::StrAppend(&jobs, ShellJob(absl::StrCat("job", i), "true"));
  const std::string file = TempFile("full.jobs", jobs);

  const Finished full = RunBrood({"batch", "-j", "3", "--results", journal, file});
  EXPECT_EQ(full.exit_code, 125) << full.err;
  EXPECT_EQ(full.err.find(absl::StrCat("brood batch: write ", journal, ": ")), 0u) << full.err;
  EXPECT_EQ(std::count(full.err.begin(), full.err.end(), '\n'), 1) << full.err;
  EXPECT_EQ(FileContent(journal).back(), '\n');
  const Lines cut = ReadLines(journal);
  EXPECT_TRUE(cut.others.empty());
  EXPECT_GT(cut.results.size(), 10u);
  EXPECT_LT(cut.results.size(), kJobs);

  // Still full: nothing is run, since nothing could be recorded.
  EXPECT_EQ(RunBrood({"batch", "--results", journal, "--resume", file}).exit_code, 125);

  ASSERT_EQ(mount(nullptr, disk.c_str(), nullptr, MS_REMOUNT, "size=4m"), 0) << strerror(errno);
  EXPECT_EQ(RunBrood({"batch", "-j", "3", "--results", journal, "--resume", file}).exit_code, 0);
  const Lines all = ReadLines(journal);
  EXPECT_TRUE(all.others.empty());
  EXPECT_EQ(all.results.size(), kJobs);
  for (const auto& [id, attempts] : all.results) {
    EXPECT_EQ(attempts.size(), 1u) << id;
    EXPECT_EQ(attempts[0], all.started.at(id).back()) << id;
  }
  for (const auto& [id, attempts] : cut.results) EXPECT_EQ(all.results.at(id), attempts) << id;
  EXPECT_EQ(umount2(disk.c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace brood

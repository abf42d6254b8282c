// `brood batch`, its journal and its resumption, end to end on Windows. Programs are this one again, with a first argument.
#include <windows.h>

#include <cstdio>
#include <map>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "base/windows_handle.h"
#include "base/windows_path.h"
#include "base/windows_text.h"
#include "batch/result_json.h"
#include "cli/testdata/windows_brood.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

using absl::StrContains;

std::wstring Wide(const std::string& text) { return ToWide(text, "name").value(); }

// --- What the programs do.

// Says by the first event that it runs, and ends once somebody has set the second.
int AwaitsEvent(const std::vector<std::string>& arguments) {
  const UniqueFd begun = Own(OpenEventW(EVENT_MODIFY_STATE, FALSE, Wide(arguments[2]).c_str()));
  const UniqueFd gate = Own(OpenEventW(SYNCHRONIZE, FALSE, Wide(arguments[3]).c_str()));
  if (!begun.valid() || !gate.valid() || !SetEvent(HandleOf(begun.get()))) return 1;
  return WaitForSingleObject(HandleOf(gate.get()), 60'000) == WAIT_OBJECT_0 ? 0 : 1;
}

int PrintsWord(const std::vector<std::string>& arguments) {
  std::fputs(arguments[2].c_str(), stdout);
  return 0;
}

// --- What is claimed.

std::string JsonPath(const std::string& path) { return absl::StrReplaceAll(path, {{"\\", "\\\\"}}); }

std::string PrintJob(const std::string& id) {
  return absl::StrCat("{\"id\":\"", id, "\",\"argv\":[\"", JsonPath(OwnPath()), "\",\"--print\",\"", id, "\"]}\n");
}

std::map<std::string, std::vector<ReadResult>> Results(const std::string& journal) {
  std::map<std::string, std::vector<ReadResult>> results;
  for (const std::string_view line : absl::StrSplit(FileContent(journal), '\n', absl::SkipEmpty())) {
    if (std::optional<ReadResult> result = ParseResult(line); result.has_value()) results[result->id].push_back(*std::move(result));
  }
  return results;
}

struct NamedEvent {
  explicit NamedEvent(const std::string& word)
      : name(absl::StrCat("brood-test-", GetCurrentProcessId(), "-", word)),
        handle(Own(CreateEventW(nullptr, TRUE, FALSE, Wide(name).c_str()))) {}
  bool Await() const { return WaitForSingleObject(HandleOf(handle.get()), 60'000) == WAIT_OBJECT_0; }
  void Set() const { EXPECT_TRUE(SetEvent(HandleOf(handle.get()))); }
  std::string name;
  UniqueFd handle;
};

TEST(BatchTest, EachJobHasOneResultWithWhatItSaid) {
  const std::string jobs = TempFile("jobs.jsonl", absl::StrCat(PrintJob("first"), R"({"id":"fails","argv":["cmd","/c","exit 9"]})", "\n",
                                                               R"({"id":"missing","argv":["no-such-program"]})", "\n"));
  const std::string journal = TempPath("results.jsonl");
  const Finished batch = RunBrood({"batch", "-j", "2", "--results", journal, jobs});
  EXPECT_EQ(batch.exit_code, 1) << batch.err;
  auto results = Results(journal);
  ASSERT_EQ(results.size(), 3u) << FileContent(journal);
  EXPECT_EQ(results["first"].at(0).status, "ok");
  EXPECT_EQ(results["first"].at(0).end.stdout_stream.content, "first");
  EXPECT_EQ(results["fails"].at(0).end.outcome.exit_code(), 9);
  EXPECT_EQ(results["missing"].at(0).status, "setup_failed");
  const Finished status = RunBrood({"status", journal});
  EXPECT_EQ(status.out, "results\t3\nfailed\t1\nok\t1\nsetup_failed\t1\n");
  const Finished again = RunBrood({"batch", "--results", journal, jobs});
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_TRUE(StrContains(again.err, "is not empty; continue that batch with --resume")) << again.err;
}

TEST(BatchTest, FunctionsOfADllAreJobsWithValues) {
  const std::string plugin = JsonPath(PluginPath("values"));
  const std::string jobs = TempFile("functions.jsonl", absl::StrCat("{\"id\":\"a\",\"target\":\"", plugin, ":byte\",\"args\":[7]}\n",
                                                                    "{\"id\":\"b\",\"target\":\"", plugin, ":bite\",\"args\":[7]}\n"));
  const std::string journal = TempPath("function-results.jsonl");
  EXPECT_EQ(RunBrood({"batch", "--results", journal, jobs}).exit_code, 1);
  auto results = Results(journal);
  EXPECT_EQ(results["a"].at(0).status, "ok") << FileContent(journal);
  EXPECT_TRUE(StrContains(FileContent(journal), R"("value":7)")) << FileContent(journal);
  EXPECT_EQ(results["b"].at(0).status, "setup_failed");
}

// Killed while its second job runs and its third has not begun.
TEST(BatchTest, AKilledBatchIsResumedToTheSameSetOfResults) {
  const NamedEvent begun("begun"), gate("gate");
  const std::string jobs = TempFile(
      "killed.jsonl", absl::StrCat(PrintJob("before"), "{\"id\":\"waits\",\"argv\":[\"", JsonPath(OwnPath()), "\",\"--await\",\"",
                                   begun.name, "\",\"", gate.name, "\"]}\n", PrintJob("after")));
  const std::string journal = TempPath("killed-results.jsonl");
  {
    StartedBrood first({"batch", "-j", "1", "--results", journal, jobs});
    ASSERT_TRUE(begun.Await());
    EXPECT_EQ(RunBrood({"status", journal}).out, "results\t1\nok\t1\nrunning\t1\n");
    const Finished second = RunBrood({"batch", "--resume", "--results", journal, jobs});
    EXPECT_EQ(second.exit_code, 125);
    EXPECT_TRUE(StrContains(second.err, "another batch writes to it")) << second.err;
    first.Kill();
    first.Wait();
  }
  EXPECT_EQ(RunBrood({"status", journal}).out, "results\t1\nok\t1\nunfinished\t1\n");
  gate.Set();
  const Finished resumed = RunBrood({"batch", "-j", "1", "--resume", "--results", journal, jobs});
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  auto results = Results(journal);
  ASSERT_EQ(results.size(), 3u) << FileContent(journal);
  for (const auto& [id, all] : results) {
    ASSERT_EQ(all.size(), 1u) << id;
    EXPECT_EQ(all[0].status, "ok") << id;
    EXPECT_EQ(all[0].attempt, id == "waits" ? 2 : 1) << id;
  }
}

TEST(BatchTest, AnEndWithoutALineFeedIsCutOff) {
  const std::string jobs = TempFile("torn.jsonl", PrintJob("a"));
  const std::string journal = TempPath("torn-results.jsonl");
  ASSERT_EQ(RunBrood({"batch", "--results", journal, jobs}).exit_code, 0);
  const std::string whole = FileContent(journal);
  TempFile("torn-results.jsonl", absl::StrCat(whole, R"({"v":1,"id":"a","att)"));
  ASSERT_EQ(RunBrood({"batch", "--resume", "--results", journal, jobs}).exit_code, 0);
  EXPECT_EQ(FileContent(journal), whole);
}

// Windows takes "A" and "a" for one name, and "nul" for a device.
TEST(BatchTest, OutputFilesOfJobsThatDifferByCaseAloneAreTheirOwn) {
  const std::string jobs = TempFile("case.jsonl", absl::StrCat(PrintJob("a"), PrintJob("A"), PrintJob("nul"), PrintJob("x/y:z")));
  const std::string folder = TempPath("outputs\\deeper");
  ASSERT_EQ(RunBrood({"batch", "--output-dir", folder, jobs}).exit_code, 0);
  EXPECT_EQ(FileContent(absl::StrCat(folder, "\\a\\stdout")), "a");
  EXPECT_EQ(FileContent(absl::StrCat(folder, "\\%41\\stdout")), "A");
  EXPECT_EQ(FileContent(absl::StrCat(folder, "\\%6eul\\stdout")), "nul");
  EXPECT_EQ(FileContent(absl::StrCat(folder, "\\x%2fy%3az\\stdout")), "x/y:z");
}

// What lies deeper than MAX_PATH. The names of outputs are made from what the system tells of their folder, which Wine 8 does up to
// there.
TEST(BatchTest, TheJournalAndTheOutputsMayHaveLongPaths) {
  const std::string jobs = TempFile("deep.jsonl", PrintJob("a"));
  std::string folder = TempPath("deep");
  for (const char letter : {'x', 'y', 'z'}) {
    ASSERT_TRUE(CreateDirectoryW(AnyLength(Wide(folder)).c_str(), nullptr)) << folder;
    absl::StrAppend(&folder, "\\", std::string(100, letter));
  }
  ASSERT_TRUE(CreateDirectoryW(AnyLength(Wide(folder)).c_str(), nullptr)) << folder;
  const std::string journal = absl::StrCat(folder, "\\results.jsonl");
  const Finished batch = RunBrood({"batch", "--results", journal, jobs});
  EXPECT_EQ(batch.exit_code, 0) << batch.err;
  EXPECT_EQ(RunBrood({"status", journal}).out, "results\t1\nok\t1\n");
  const UniqueFd opened = Own(CreateFileW(AnyLength(Wide(folder)).c_str(), FILE_LIST_DIRECTORY, FILE_SHARE_READ | FILE_SHARE_WRITE,
                                          nullptr, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr));
  wchar_t path[1024];
  const bool tells = GetFinalPathNameByHandleW(HandleOf(opened.get()), path, 1024, 0) != 0;
  const Finished outputs = RunBrood({"batch", "--output-dir", absl::StrCat(folder, "\\outputs"), jobs});
  EXPECT_EQ(outputs.exit_code, tells ? 0 : 1) << outputs.err;
  const std::string output = tells ? FileContent(absl::StrCat(folder, "\\outputs\\a\\stdout")) : "a";
  EXPECT_EQ(output, "a");
  EXPECT_EQ(StrContains(outputs.out, "a: GetFinalPathNameByHandle: ERROR_MORE_DATA, 234 ("), !tells) << outputs.out;
}

TEST(BatchTest, BadJobsAreNamedByFileLineAndField) {
  const std::string jobs = TempFile("bad.jsonl", absl::StrCat(PrintJob("a"), "{\"id\":\"b\",\"argv\":[]}\n"));
  const Finished batch = RunBrood({"batch", jobs});
  EXPECT_EQ(batch.exit_code, 2);
  EXPECT_TRUE(StrContains(batch.err, absl::StrCat(jobs, ":2: field \"argv\""))) << batch.err;
  EXPECT_EQ(batch.out, "");
}

TEST(BatchTest, ReportsAreWritten) {
  const std::string jobs = TempFile("reported.jsonl", PrintJob("a"));
  const std::string log = TempPath("log"), junit = TempPath("junit.xml"), trace = TempPath("trace.json");
  ASSERT_EQ(RunBrood({"batch", "--joblog", log, "--junit", junit, "--trace", trace, jobs}).exit_code, 0);
  EXPECT_TRUE(StrContains(FileContent(log), "--print a")) << FileContent(log);
  EXPECT_TRUE(StrContains(FileContent(junit), "<testcase")) << FileContent(junit);
  EXPECT_TRUE(StrContains(FileContent(trace), "traceEvents")) << FileContent(trace);
  const Finished twice = RunBrood({"batch", "--joblog", log, "--junit", absl::AsciiStrToUpper(log), jobs});
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_TRUE(StrContains(twice.err, "named for two purposes")) << twice.err;
}

}  // namespace
}  // namespace brood

int main(int argc, char** argv) {
  using namespace brood;
  if (argc > 1 && std::string_view(argv[1]) == "--await") return AwaitsEvent(OwnArguments());
  if (argc > 1 && std::string_view(argv[1]) == "--print") return PrintsWord(OwnArguments());
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}

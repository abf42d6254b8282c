// `brood batch` and the small commands, end to end.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"
#include "sandbox/layer.h"

namespace brood {
namespace {

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

// The line of the result with this id.
std::string ResultOf(const std::string& results, std::string_view id) {
  for (const std::string_view line : absl::StrSplit(results, '\n')) {
    const bool of_the_job = Contains(line, absl::StrCat("\"id\":\"", id, "\""));
    if (of_the_job && Contains(line, "\"status\":")) return std::string(line);
  }
  return "";
}

size_t LinesOf(std::string_view text) { return static_cast<size_t>(std::count(text.begin(), text.end(), '\n')); }

TEST(BatchTest, JobsThatCannotRunTakeNoOtherWithThem) {
  const std::string fifo = TempFile("fifo", "");
  ASSERT_EQ(unlink(fifo.c_str()), 0);
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const std::string jobs = absl::StrCat(
      R"({"id":"first","argv":["echo","hi"]})", "\n", R"({"id":"missing","argv":["no-such-program"]})", "\n",
      R"({"id":"stdin","argv":["cat"],"stdin":"/nowhere"})", "\n", R"({"id":"fifo","argv":["cat"],"stdin":")", fifo, "\"}\n", R"({"id":"last","argv":["printf","\\377"]})", "\n");
  const Finished batch = RunBrood({"batch", "-"}, jobs);
  EXPECT_EQ(batch.exit_code, 1);
  EXPECT_EQ(LinesOf(batch.out), 5u) << batch.out;
  EXPECT_TRUE(Contains(ResultOf(batch.out, "first"), R"("status":"ok")"));
  EXPECT_TRUE(Contains(ResultOf(batch.out, "first"), R"("stdout":{"text":"hi\n","bytes":3,"truncated":false})"))
      << ResultOf(batch.out, "first");
  EXPECT_TRUE(Contains(ResultOf(batch.out, "missing"), R"("setup":{"step":"exec","errno":"ENOENT")"));
  EXPECT_TRUE(Contains(ResultOf(batch.out, "stdin"), R"("status":"setup_failed")"));
  EXPECT_TRUE(Contains(ResultOf(batch.out, "fifo"), "is a FIFO")) << ResultOf(batch.out, "fifo");
  EXPECT_TRUE(Contains(ResultOf(batch.out, "last"), R"("stdout":{"base64":"/w==","bytes":1,)"));
  EXPECT_TRUE(Contains(batch.err, "5 jobs in ")) << batch.err;
}

// Else what it holds is lost without a word, and what it does not hold is waited for, TERM or not.
TEST(BatchTest, AFifoNeedsAReader) {
  const std::string fifo = TempFile("unread", "");
  ASSERT_EQ(unlink(fifo.c_str()), 0);
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const std::string jobs = TempFile("fifo-jobs.jsonl", R"({"id":"a","argv":["true"]})" "\n");
  for (const char* option : {"--results", "--joblog", "--trace", "--junit"}) {
    const Finished unread = RunBrood({"batch", option, fifo, jobs});
    EXPECT_EQ(unread.exit_code, 125) << option;
    EXPECT_TRUE(Contains(unread.err, absl::StrCat("open ", fifo, ": is a FIFO; expected a regular file, or one that somebody reads already"))) << option << unread.err;
    EXPECT_EQ(ResultOf(unread.out, "a"), "") << option;
  }
  const int reader = open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  EXPECT_EQ(RunBrood({"batch", "--results", fifo, jobs}).exit_code, 0);
  char text[8192] = {};
  EXPECT_GT(read(reader, text, sizeof(text) - 1), 0);
  close(reader);
  EXPECT_TRUE(Contains(ResultOf(text, "a"), R"("status":"ok")")) << text;
}

TEST(BatchTest, BadJobLinesRunNothing) {
  const std::string trace = TempFile("trace", "");
  unlink(trace.c_str());
  const std::string jobs = TempFile("bad.jsonl", absl::StrCat(R"({"argv":["touch",")", trace, R"("],"policy":"none"})",
                                                              "\nbroken\n", R"({"argv":["a"],"id":"1"})", "\n"));
  const Finished batch = RunBrood({"batch", jobs});
  EXPECT_EQ(batch.exit_code, 2);
  EXPECT_EQ(batch.out, "");
  EXPECT_EQ(batch.err.find(jobs + ":2:1: not JSON"), 0u) << batch.err;
  EXPECT_TRUE(Contains(batch.err, jobs + ":3: field \"id\": \"1\" is the id of line 1 already\n")) << batch.err;
  EXPECT_NE(access(trace.c_str(), F_OK), 0);
}

TEST(BatchTest, ExitStatusTellsWhetherAllJobsAreOk) {
  EXPECT_EQ(RunBrood({"batch", "-"}, "{\"argv\":[\"true\"]}").exit_code, 0);
  EXPECT_EQ(RunBrood({"batch", "-"}, "{\"argv\":[\"false\"]}").exit_code, 1);
  EXPECT_EQ(RunBrood({"batch", "-"}, "").exit_code, 0);
  EXPECT_EQ(RunBrood({"batch"}).exit_code, 2);
  EXPECT_EQ(RunBrood({"batch", "/nowhere.jsonl"}).exit_code, 2);
  EXPECT_EQ(RunBrood({"batch", "-j", "0", "-"}).exit_code, 2);
  EXPECT_EQ(RunBrood({"batch", "-", "-j", "2"}).exit_code, 2);
}

// The last lets the others go once it has seen them all; before that none ends but by its time limit.
TEST(BatchTest, HundredsOfStrictJobsLiveAtOnce) {
  constexpr int kJobs = 300;
  char directory[] = "/tmp/brood-test-XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  ASSERT_EQ(mkfifo(absl::StrCat(directory, "/gate").c_str(), 0600), 0);
  std::string jobs;
  for (int i = 1; i < kJobs; ++i) {
    absl::StrAppend(&jobs, R"({"argv":["sh","-c",": >)", directory, "/", i, "; read line <", directory, R"(/gate; test $? = 1"]})", "\n");
  }
  absl::StrAppend(&jobs, R"({"argv":["sh","-c","cd )", directory, "; until test $(ls | wc -l) = ", kJobs,
                  R"(; do sleep 0.1; done; exec 3>gate; for i in *; do test -p $i || rm $i; done"]})", "\n");
  const Finished batch = RunBrood({"batch", "-p", "strict", "--rw", directory, "-t", "100s", "-j", absl::StrCat(kJobs), "-"}, jobs);
  EXPECT_EQ(batch.exit_code, 0);
  EXPECT_TRUE(Contains(batch.err, absl::StrCat(": ", kJobs, " ok"))) << batch.err;
  EXPECT_FALSE(Contains(batch.err, "warning")) << batch.err;
  std::filesystem::remove_all(directory);
}

TEST(BatchTest, WhereFewerRunAtATimeThanWasAskedForThatIsToldWithTheReason) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few = {.rlim_cur = 100, .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  std::string jobs;
  for (int i = 0; i < 30; ++i) absl::StrAppend(&jobs, R"({"argv":["sleep","2"]})", "\n");
  const Finished batch = RunBrood({"batch", "-j", "30", "-"}, jobs);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(batch.exit_code, 0);
  EXPECT_TRUE(Contains(batch.err, "warning: of 30 jobs at a time at times only ")) << batch.err;
  EXPECT_TRUE(Contains(batch.err, "EMFILE")) << batch.err;
}

TEST(BatchTest, LimitsOfTheJobWinOverTheCommandLine) {
  const Finished batch = RunBrood({"batch", "--wall-time", "100ms", "-"},
                                  "{\"id\":\"short\",\"argv\":[\"sleep\",\"1000\"]}\n"
                                  "{\"id\":\"long\",\"argv\":[\"true\"],\"limits\":{\"wall_time\":\"1h\"}}\n");
  EXPECT_TRUE(Contains(ResultOf(batch.out, "short"), R"("status":"timeout")")) << batch.out;
  EXPECT_TRUE(Contains(ResultOf(batch.out, "long"), R"("status":"ok")"));
}

TEST(BatchTest, AJobSaysItsHostNameItsProcItsLabelAndWhatMayBeWeaker) {
  const std::string jobs = TempFile("own.jsonl", R"({"id":"host","argv":["uname","-n"],"hostname":"inside"})" "\n"
                                                 R"({"id":"other","argv":["uname","-n"]})" "\n"
                                                 R"({"id":"proc","argv":["sh","-c","test -w /proc/self/comm && echo writable"],"proc":"rw"})" "\n"
                                                 R"({"id":"label","argv":["true"],"label":"brood-no-such-profile"})" "\n"
                                                 R"({"id":"weaker","argv":["true"],"limits":{"memory":"64M"},"allow_weaker":["memory"]})" "\n");
  const Finished batch = RunBrood({"batch", jobs});
  EXPECT_EQ(batch.exit_code, 1) << batch.err;
  EXPECT_TRUE(Contains(ResultOf(batch.out, "host"), R"("text":"inside\n")")) << batch.out;
  EXPECT_TRUE(Contains(ResultOf(batch.out, "other"), R"("text":"brood\n")")) << batch.out;
  EXPECT_TRUE(Contains(ResultOf(batch.out, "proc"), R"("text":"writable\n")")) << batch.out;
  EXPECT_TRUE(Contains(ResultOf(batch.out, "label"), R"("status":"setup_failed")")) << batch.out;
  EXPECT_TRUE(Contains(ResultOf(batch.out, "weaker"), R"("status":"ok")")) << batch.out;
}

// Of two that empty one file before they write to it, the first would be "ok" and its text gone.
TEST(BatchTest, NoTwoJobsWriteOneFile) {
  const std::string out = TempFile("once", "before");
  const std::string job = absl::StrCat(R"({"argv":["sh","-c","echo ran"],"stdout":")", out, "\"}\n");
  const std::string journal = TempFile("once.results", "");
  unlink(journal.c_str());
  const Finished twice = RunBrood({"batch", "-"}, absl::StrCat(job, job));
  EXPECT_EQ(twice.exit_code, 2);
  EXPECT_EQ(twice.err, absl::StrCat("stdin:2: field \"stdout\": ", out, " is the \"stdout\" of line 1 already, which would be lost; give each a file of its own\n"));
  EXPECT_EQ(FileContent(out), "before");
  // Of another shard too, and of what has a result already.
  EXPECT_EQ(RunBrood({"batch", "--shard", "1/2", "-"}, absl::StrCat(job, job)).exit_code, 2);
  EXPECT_EQ(RunBrood({"batch", "--results", journal, "-"}, job).exit_code, 0);
  EXPECT_EQ(RunBrood({"batch", "--results", journal, "--resume", "-"}, absl::StrCat(job, job)).exit_code, 2);
  EXPECT_EQ(RunBrood({"batch", "--results", journal, "--resume", "--joblog", out, "-"}, job).exit_code, 2);
  EXPECT_EQ(FileContent(out), "ran\n");
  // One more attempt has the file anew, and who writes to no file shares.
  EXPECT_EQ(RunBrood({"batch", "--retries", "1", "-"}, absl::StrCat(R"({"argv":["sh","-c","echo again; false"],"stdout":")", out, "\"}\n")).exit_code, 1);
  EXPECT_EQ(FileContent(out), "again\n");
  const std::string null = R"({"argv":["echo","x"],"stdout":"/dev/null","stderr":"/dev/null"})" "\n";
  EXPECT_EQ(RunBrood({"batch", "-"}, absl::StrCat(null, null)).exit_code, 0);
}

TEST(BatchTest, AnInterruptEndsItWithAValidJournal) {
  StartedBrood brood({"batch", "-j", "2", "-"},
                     "{\"id\":\"quick\",\"argv\":[\"true\"]}\n{\"id\":\"slow\",\"argv\":[\"sleep\",\"1000\"]}\n");
  EXPECT_TRUE(Contains(brood.ReadLine(), R"("id":"quick")"));
  brood.Signal(SIGTERM);
  const Finished batch = brood.Wait();
  EXPECT_EQ(batch.exit_code, 130);
  EXPECT_EQ(batch.out, "");
  EXPECT_TRUE(Contains(batch.err, "1 without a result (interrupted)")) << batch.err;
}

TEST(BatchTest, ResumeRunsWhatHasNoResultAndCountsWhatHas) {
  const std::string journal = TempFile("journal.jsonl", R"({"v":1,"id":"a","attempt":1,"status":"failed"})"
                                                        "\n{\"v\":1,\"id\":\"b\",\"att");
  const std::string jobs = "{\"id\":\"a\",\"argv\":[\"true\"]}\n{\"id\":\"b\",\"argv\":[\"true\"]}\n";
  EXPECT_EQ(RunBrood({"batch", "--results", journal, "-"}, jobs).exit_code, 2);
  EXPECT_EQ(RunBrood({"batch", "--results", journal, "--resume", "-"}, jobs).exit_code, 1);
  const std::string content = FileContent(journal);
  EXPECT_EQ(LinesOf(content), 3u) << content;  // What was torn is gone, and "b" has started and ended.
  EXPECT_TRUE(Contains(ResultOf(content, "b"), R"("status":"ok")")) << content;
  EXPECT_EQ(RunBrood({"status", journal}).out, "results\t2\nfailed\t1\nok\t1\n");
}

TEST(BatchTest, OutputDirectoryAndOrder) {
  const std::string directory = TempFile("marker", "") + ".d";
  const Finished batch = RunBrood(
      {"batch", "--keep-order", "-j", "4", "--output-dir", directory, "-"},
      "{\"id\":\"../up\",\"argv\":[\"sh\",\"-c\",\"echo out; echo err >&2\"]}\n{\"id\":\"z\",\"argv\":[\"true\"]}\n");
  EXPECT_EQ(batch.exit_code, 0) << batch.err;
  EXPECT_EQ(FileContent(directory + "/%2e.%2fup/stdout"), "out\n");
  EXPECT_EQ(FileContent(directory + "/%2e.%2fup/stderr"), "err\n");
  EXPECT_LT(batch.out.find("../up"), batch.out.find("\"id\":\"z\""));
}

TEST(BatchTest, DryRunPrintsCommandsAndRunsNothing) {
  const std::string trace = TempFile("dry", "");
  unlink(trace.c_str());
  const Finished batch = RunBrood({"batch", "--dry-run", "--policy", "none", "-"},
                                  absl::StrCat("{\"id\":\"a\",\"argv\":[\"touch\",\"", trace, "\",\"it's\"]}\n"));
  EXPECT_EQ(batch.exit_code, 0);
  EXPECT_EQ(batch.out, absl::StrCat("a\tnone\ttouch ", trace, " 'it'\\''s'\n"));
  EXPECT_NE(access(trace.c_str(), F_OK), 0);
}

TEST(CommandsTest, UnknownOnesAreSuggested) {
  const Finished unknown = RunBrood({"bacth"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_TRUE(Contains(unknown.err, "did you mean \"batch\"?")) << unknown.err;
  EXPECT_EQ(RunBrood({}).exit_code, 2);
  EXPECT_EQ(RunBrood({"help", "limits"}).exit_code, 0);
  EXPECT_EQ(RunBrood({"--version"}).out.find("brood "), 0u);
}

TEST(CommandsTest, PolicyExplainsAndChecks) {
  EXPECT_TRUE(Contains(RunBrood({"policy", "explain", "strict"}).out, "network: none\n"));
  EXPECT_TRUE(Contains(RunBrood({"policy", "explain", "--json", "strict"}).out, "\"unlisted\": \"kill\""));
  EXPECT_TRUE(Contains(RunBrood({"policy", "explain", "--bpf", "strict"}).out, "return guardian: violation\n"));
  EXPECT_TRUE(Contains(RunBrood({"policy", "explain", "@timers"}).out, "clock_gettime"));
  EXPECT_EQ(RunBrood({"policy", "explain", "--bpf", "none"}).out, "no filter\n");
  EXPECT_EQ(RunBrood({"policy", "check", "--bpf", "strict"}).exit_code, 2);
  EXPECT_EQ(RunBrood({"policy", "explain", "nothing"}).exit_code, 2);
  const std::string good = TempFile("good.json", "{\"extends\": \"strict\"}");
  const std::string bad = TempFile("bad.json", "{\"extends\": \"strict\", \"x\": 1}");
  EXPECT_EQ(RunBrood({"policy", "check", good}).exit_code, 0);
  EXPECT_TRUE(Contains(RunBrood({"policy", "explain", good}).out, "network: none\n"));
  EXPECT_EQ(RunBrood({"policy", "check", bad}).exit_code, 1);
}

TEST(CommandsTest, DoctorListsEveryLayer) {
  const Finished doctor = RunBrood({"doctor"});
  EXPECT_LE(doctor.exit_code, 1);
  EXPECT_EQ(LinesOf(doctor.out), kAllLayers.size() + 1) << doctor.out;
  EXPECT_TRUE(Contains(RunBrood({"doctor", "--json"}).out, "\"layer\":\"open_files\""));
}

}  // namespace
}  // namespace brood

#include "batch/journal.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "batch/files.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

constexpr char kLine[] = R"({"v":1,"id":"x","attempt":1,"status":"ok"})";

class JournalTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ =
        absl::StrCat(testing::TempDir(), "/", testing::UnitTest::GetInstance()->current_test_info()->name(), getpid());
  }
  void TearDown() override { unlink(path_.c_str()); }
  void Write(std::string_view content) { std::ofstream(path_, std::ios::binary) << content; }
  std::string Content() { return ReadFile(path_, 1 << 20).value(); }

  std::string path_;
  JournalOptions resume_{.existing = JournalOptions::Existing::kContinue};
};

TEST_F(JournalTest, AppendsLines) {
  Journal journal = Journal::Open(path_, {}).value();
  EXPECT_TRUE(journal.Append("a").ok());
  EXPECT_TRUE(journal.Append("b").ok());
  EXPECT_TRUE(journal.Close().ok());
  EXPECT_EQ(Content(), "a\nb\n");
}

TEST_F(JournalTest, RefusesAFileWithContentUnlessItIsContinued) {
  Write(absl::StrCat(kLine, "\n"));
  EXPECT_EQ(Journal::Open(path_, {}).status().code(), absl::StatusCode::kAlreadyExists);
  Journal journal = Journal::Open(path_, resume_).value();
  EXPECT_TRUE(journal.Append("a").ok());
  EXPECT_EQ(Content(), absl::StrCat(kLine, "\na\n"));
}

TEST_F(JournalTest, CutsATornLineBeforeTheNextOne) {
  Write(absl::StrCat(kLine, "\n", std::string(10'000, 'y')));
  Journal journal = Journal::Open(path_, resume_).value();
  EXPECT_TRUE(journal.Append("a").ok());
  EXPECT_EQ(Content(), absl::StrCat(kLine, "\na\n"));
}

TEST_F(JournalTest, AFileOfWhichNoLineIsAJournalsIsRefusedAndLeftAsItIs) {
  for (const char* content : {"\n", "text", "text\n", "text\n{\"v\":1,", "{\"id\":\"a\",\"argv\":[\"true\"]}\n"}) {
    Write(content);
    for (const absl::Status& status :
         {ReadJournal(path_).status(), CheckIsJournal(path_), Journal::Open(path_, resume_).status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << content;
      EXPECT_NE(status.message().find(path_), std::string::npos) << status;
    }
    EXPECT_EQ(Content(), content);
  }
}

TEST_F(JournalTest, AnEmptyFileAndOneWhoseFirstLineIsTornAreJournalsWithoutAnEntry) {
  for (const char* content : {"", "{", "{\"v\":1,\"event\":\"sta"}) {
    Write(content);
    EXPECT_TRUE(ReadJournal(path_).value().empty()) << content;
    EXPECT_EQ(CheckIsJournal(path_), absl::OkStatus()) << content;
  }
}

TEST_F(JournalTest, ALineLongerThanAnyOfABatchIsNoJournals) {
  Write("");
  std::filesystem::resize_file(path_, uint64_t{1} << 30);  // Zeros, in no block.
  EXPECT_EQ(ReadJournal(path_).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(JournalTest, TwoBatchesNeverShareOne) {
  const Journal first = Journal::Open(path_, {}).value();
  EXPECT_EQ(Journal::Open(path_, resume_).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(JournalTest, AShortWriteLeavesWholeLinesOnly) {
  Journal journal = Journal::Open(path_, {.sync = JournalOptions::Sync::kAlways}).value();
  ASSERT_TRUE(journal.Append("first").ok());
  // RLIMIT_FSIZE gives what a full disk gives: a write of a part. setrlimit(2).
  signal(SIGXFSZ, SIG_IGN);
  rlimit old = {};
  getrlimit(RLIMIT_FSIZE, &old);
  const rlimit small = {.rlim_cur = 10, .rlim_max = old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status status = journal.Append("second line");
  setrlimit(RLIMIT_FSIZE, &old);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_EQ(Content(), "first\n");
  EXPECT_TRUE(journal.Append("third").ok());
  EXPECT_EQ(Content(), "first\nthird\n");
}

TEST_F(JournalTest, ReadingKeepsTheLastResultOfEachIdAndIgnoresTornAndForeignLines) {
  Write(
      "{\"v\":1,\"id\":\"a\",\"attempt\":1,\"status\":\"failed\"}\nforeign\n[]\n"
      "{\"v\":9,\"id\":\"a\",\"attempt\":2,\"status\":\"ok\",\"new\":1}\n{\"v\":1,\"id\":\"b\",\"attempt\":1,"
      "\"status\":\"ok\"}");
  const std::map<std::string, JournalEntry> entries = ReadJournal(path_).value();
  ASSERT_EQ(entries.size(), 1u);
  EXPECT_EQ(entries.at("a").attempt, 2);
  EXPECT_EQ(entries.at("a").status, "ok");
}

TEST_F(JournalTest, ReadingTellsStartedFromFinished) {
  Journal journal = Journal::Open(path_, {}).value();
  const absl::Time start = absl::FromUnixMillis(1'000'000'000'123);
  const auto append = [&](const StartedEvent& event) { EXPECT_TRUE(journal.Append(StartedLine(event)).ok()); };
  append({.id = "a", .attempt = 1, .definition = 7, .start = start});
  append({.id = "b", .attempt = 1, .definition = 8, .start = start});
  EXPECT_TRUE(journal.Append(ResultLine("a", 1, JobEnd{})).ok());
  append({.id = "b", .attempt = 2, .definition = 9, .start = start});
  const std::map<std::string, JournalEntry> entries = ReadJournal(path_).value();
  EXPECT_TRUE(entries.at("a").finished());
  EXPECT_EQ(entries.at("a").definition, 7u);
  EXPECT_FALSE(entries.at("b").finished());
  EXPECT_EQ(entries.at("b").attempt, 2);
  EXPECT_EQ(entries.at("b").definition, 9u);
  EXPECT_EQ(entries.at("b").start, start);
  std::vector<std::string> results;
  EXPECT_TRUE(ForEachResult(path_, [&](const ReadResult& result) {
                results.push_back(result.id);
                return absl::OkStatus();
              }).ok());
  EXPECT_EQ(results, std::vector<std::string>{"a"});
}

TEST_F(JournalTest, WhetherABatchWritesToItCanBeAskedWithoutDisturbingIt) {
  {
    Journal journal = Journal::Open(path_, {}).value();
    EXPECT_TRUE(JournalIsInUse(path_).value());
    EXPECT_EQ(Journal::Open(path_, resume_).status().code(), absl::StatusCode::kResourceExhausted);
    // Reading opens and closes the file, which would end a lock of the process; this is one of the open file.
    EXPECT_TRUE(ReadJournal(path_).ok());
    EXPECT_TRUE(JournalIsInUse(path_).value());
  }
  EXPECT_FALSE(JournalIsInUse(path_).value());
  EXPECT_EQ(JournalIsInUse(path_ + "-missing").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(JournalIsInUse("/dev/null").value());
}

}  // namespace
}  // namespace brood

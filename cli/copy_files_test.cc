// --copy-in and --copy-out, and the same of a job.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "cli/testdata/brood_under_test.h"
#include "gtest/gtest.h"

namespace brood {
namespace {

bool Contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::string Place(const std::string& name) { return std::string(getenv("TEST_TMPDIR")) + "/" + name; }

TEST(CopyFilesTest, RunCopiesInAndOut) {
  const std::string in = TempFile("in", "text");
  const Finished run = RunBrood({"run", "-p", "strict", "--copy-in", in + ":/tmp/in", "--copy-out", "/tmp/out:" + Place("out") + ":1K",
                                 "--result", "-", "sh", "-c", "tr t T </tmp/in >/tmp/out"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(FileContent(Place("out")), "TexT");
  EXPECT_TRUE(Contains(run.out, R"("copied":[{"from":"/tmp/out","to":")" + Place("out") + R"(","bytes":4,"problem":null}])")) << run.out;
}

TEST(CopyFilesTest, WhatDidNotComeOutIsToldAndNoSuccess) {
  const Finished run = RunBrood({"run", "-p", "strict", "--copy-out", "/tmp/a:" + Place("a"), "--copy-out", "/tmp/b:" + Place("b") + ":2",
                                 "sh", "-c", "echo long >/tmp/b"});
  EXPECT_EQ(run.exit_code, 125);
  EXPECT_EQ(run.err, "brood run: copy-out: /tmp/a: missing\nbrood run: copy-out: /tmp/b: too large: 5 bytes, at most 2\n");
  EXPECT_FALSE(std::filesystem::exists(Place("a")) || std::filesystem::exists(Place("b")));
  EXPECT_EQ(RunBrood({"run", "-p", "strict", "--copy-out", "/tmp/a:" + Place("a"), "sh", "-c", "exit 7"}).exit_code, 7);
}

TEST(CopyFilesTest, MistakesAreTold) {
  EXPECT_TRUE(Contains(RunBrood({"run", "--copy-in", "a", "true"}).err, "--copy-in: expected SRC:DEST")) ;
  EXPECT_TRUE(Contains(RunBrood({"run", "--copy-out", "a:b", "true"}).err, "--copy-out: expected SRC:DEST[:SIZE]"));
  EXPECT_TRUE(Contains(RunBrood({"run", "-p", "none", "--copy-out", "/a:b", "true"}).err, "no own root"));
}

TEST(CopyFilesTest, AJobHasItsOwn) {
  const std::string in = TempFile("job-in", "job");
  const std::string jobs = TempFile("jobs.jsonl", R"({"argv":["cp","/tmp/in","/tmp/out"],"policy":"strict","copy_in":[")" + in +
                                                      R"(:/tmp/in"],"copy_out":["/tmp/out:)" + Place("job-out") + R"("]})" + "\n");
  const Finished batch = RunBrood({"batch", jobs});
  EXPECT_EQ(batch.exit_code, 0) << batch.err;
  EXPECT_EQ(FileContent(Place("job-out")), "job");
  EXPECT_TRUE(Contains(batch.out, R"("bytes":3,"problem":null)")) << batch.out;
}

TEST(CopyFilesTest, TwoFilesDoNotBecomeOne) {
  const Finished run = RunBrood({"run", "-p", "strict", "--copy-out", "/tmp/a:" + Place("one"), "--copy-out", "/tmp/b:" + Place(".") + "/one", "true"});
  EXPECT_EQ(run.exit_code, 125);
  EXPECT_EQ(run.err, "brood run: copy-out: /tmp/a and /tmp/b cannot both become " + Place(".") + "/one; give one of them another name\n");
}

// With an output limit and without.
TEST(CopyFilesTest, StandardOutputAndErrorMayBeOneFile) {
  for (const std::string policy : {"default", "strict"}) {
    const std::string to = Place("both-" + policy);
    const std::string jobs = TempFile("both.jsonl", R"({"argv":["sh","-c","echo out; echo err >&2; echo last"],"policy":")" + policy +
                                                        R"(","stdout":")" + to + R"(","stderr":")" + Place(".") + "/both-" + policy + "\"}\n");
    const Finished batch = RunBrood({"batch", jobs});
    EXPECT_EQ(batch.exit_code, 0) << batch.err;
    EXPECT_EQ(FileContent(to), "out\nerr\nlast\n") << policy;
  }
}

// By an earlier child: brood would read or write what is behind it, with its own rights.
TEST(CopyFilesTest, NoFileIsOpenedBehindAPlantedLink) {
  namespace fs = std::filesystem;
  const std::string shared = Place("shared"), outside = Place("outside");
  fs::create_directory(shared);
  fs::create_directory(outside);
  const std::string target = outside + "/file";
  std::ofstream(target) << "untouched";
  fs::create_symlink(target, shared + "/link");
  fs::create_symlink(outside, shared + "/away");
  fs::create_symlink(shared, Place("way"));
  const std::string start = R"({"argv":["cat","/tmp/in"],"policy":"strict","rw":[")" + shared + R"("],)";
  for (const std::string field : {R"("stdin":"LINK")", R"("stdout":"LINK")", R"("stderr":"LINK")", R"("stdout":"AWAY/new")", R"("copy_in":["LINK:/tmp/in"])",
                                  R"("copy_in":["AWAY/file:/tmp/in"])", R"("copy_out":["/tmp/in:AWAY/new"])"}) {
    for (const std::string& to : {shared, Place("way")}) {
      std::string line = start + field + "}\n";
      for (const auto& [word, path] : {std::pair<std::string, std::string>("LINK", to + "/link"), {"AWAY", to + "/away"}}) {
        if (const size_t at = line.find(word); at != std::string::npos) line.replace(at, word.size(), path);
      }
      const Finished batch = RunBrood({"batch", TempFile("planted.jsonl", line)});
      EXPECT_EQ(batch.exit_code, 1) << line;
      EXPECT_TRUE(Contains(batch.out, R"("status":"setup_failed")") && Contains(batch.out, "ELOOP")) << line << batch.out;
    }
  }
  EXPECT_EQ(FileContent(target), "untouched");
  EXPECT_FALSE(fs::exists(outside + "/new"));
  // What is no link is opened there, and so is a link that is elsewhere.
  const std::string plain = start + R"("stdout":")" + Place("way") + R"(/plain","copy_in":[")" + target + R"(:/tmp/in"]})" "\n";
  EXPECT_EQ(RunBrood({"batch", TempFile("plain.jsonl", plain)}).exit_code, 0);
  EXPECT_EQ(FileContent(shared + "/plain"), "untouched");
}

TEST(CopyFilesTest, AJobWhoseFileIsMissingHasFailedAndIsTriedAgain) {
  const std::string jobs = TempFile("missing.jsonl", R"({"id":"m","argv":["true"],"policy":"strict","retries":1,"copy_out":["/tmp/out:)" + Place("m") + R"("]})" + "\n");
  const Finished batch = RunBrood({"batch", jobs});
  EXPECT_EQ(batch.exit_code, 1) << batch.err;
  EXPECT_TRUE(Contains(batch.out, R"("id":"m","attempt":2,"status":"failed","exit_code":0)")) << batch.out;
  EXPECT_TRUE(Contains(batch.out, R"("problem":"missing")")) << batch.out;
}

}  // namespace
}  // namespace brood

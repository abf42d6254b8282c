// Files into a child and out of it, also out of one that leaves anything but files.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "launcher/process.h"

namespace brood {
namespace {

namespace fs = std::filesystem;

void WriteText(const std::string& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

size_t CountOf(const std::string& directory) { return static_cast<size_t>(std::distance(fs::directory_iterator(directory), {})); }

class CopyFilesTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/brood-copy-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    directory_ = pattern;
    out_ = directory_ + "/out";
    ASSERT_EQ(mkdir(out_.c_str(), 0755), 0);
  }
  void TearDown() override { fs::remove_all(directory_); }

  LaunchOptions Options(const std::string& script, const std::string& policy = "strict") {
    LaunchOptions options;
    options.argv = {"/bin/sh", "-c", script};
    options.policy = CompilePolicy(BuiltinPolicy(policy).value()).value();
    options.cwd = "/";
    return options;
  }

  // Runs the script and copies `source` out. Nothing but the destination may be left outside, and that only if all is well.
  CopiedFile Out(const std::string& script, const std::string& source, uint64_t max_bytes = 1 << 20, const std::string& policy = "strict") {
    fs::remove(out_ + "/file");
    LaunchOptions options = Options(script, policy);
    options.copy_out = {{.source = source, .destination = out_ + "/file", .max_bytes = max_bytes}};
    Process process = Process::Launch(options).value();
    outcome_ = process.Join().value();
    EXPECT_EQ(outcome_.copied.size(), 1u) << outcome_.ToString();
    if (outcome_.copied.size() != 1) return {.problem = "no result"};
    const CopiedFile& file = outcome_.copied[0];
    EXPECT_EQ(CountOf(out_), file.problem.empty() ? 1u : 0u) << script;
    return file;
  }

  std::string directory_;
  std::string out_;
  Outcome outcome_;
};

TEST_F(CopyFilesTest, AFileComesOutAsTheChildWroteIt) {
  const CopiedFile file = Out("mkdir -p /tmp/a/b; printf 'one\\0two' >/tmp/a/b/c", "/tmp/a/b/c");
  EXPECT_EQ(file.problem, "");
  EXPECT_EQ(file.bytes, 7u);
  EXPECT_EQ(ReadText(out_ + "/file"), std::string("one\0two", 7));
  EXPECT_TRUE(outcome_.ok());
}

TEST_F(CopyFilesTest, AFileGoesInAndAnotherComesOut) {
  std::string content(300'000, 'x');
  content += "end";
  WriteText(directory_ + "/in", content);
  LaunchOptions options = Options("tr x y </tmp/place/in >/tmp/place/out");
  options.copy_in = {{.source = directory_ + "/in", .destination = "/tmp/place/in"}};
  options.copy_out = {{.source = "/tmp/place/out", .destination = out_ + "/file"}};
  const Outcome outcome = Process::Launch(options)->Join().value();
  ASSERT_TRUE(outcome.ok()) << outcome.ToString();
  EXPECT_EQ(outcome.copied[0].problem, "");
  EXPECT_EQ(ReadText(out_ + "/file"), std::string(300'000, 'y') + "end");
  EXPECT_EQ(ReadText(directory_ + "/in"), content);
}

TEST_F(CopyFilesTest, AProgramThatWasCopiedInRuns) {
  fs::copy_file("/bin/echo", directory_ + "/program");
  LaunchOptions options = Options("");
  options.argv = {"/tmp/program", "hello"};
  options.copy_in = {{.source = directory_ + "/program", .destination = "/tmp/program"}};
  options.stdout_spec = Stdio::Null();
  EXPECT_TRUE(Process::Launch(options)->Join()->ok());
}

TEST_F(CopyFilesTest, ComesOutOfAChildThatWasKilledToo) {
  const CopiedFile file = Out("echo partial >/tmp/log; kill -9 $$", "/tmp/log");
  EXPECT_EQ(file.problem, "");
  EXPECT_EQ(ReadText(out_ + "/file"), "partial\n");
  EXPECT_TRUE(std::holds_alternative<Signaled>(outcome_.ending));
}

TEST_F(CopyFilesTest, WhatIsMissingIsToldAndNoSuccess) {
  EXPECT_EQ(Out("true", "/tmp/none").problem, "missing");
  EXPECT_EQ(Out("true", "/tmp/no/directory/file").problem, "missing");
  EXPECT_EQ(Out("true", "/nowhere/file").problem, "missing");
  EXPECT_EQ(outcome_.exit_code(), 0);
  EXPECT_FALSE(outcome_.ok());
  EXPECT_EQ(outcome_.StatusWord(), "failed");
  EXPECT_EQ(outcome_.ShellExitCode(), 125);
  EXPECT_EQ(outcome_.ToString(), "exited with code 0, and /nowhere/file was not copied out: missing");
}

TEST_F(CopyFilesTest, WhatIsTooLargeIsToldWithItsSize) {
  CopiedFile file = Out("head -c 1001 /dev/zero >/tmp/out", "/tmp/out", 1000);
  EXPECT_EQ(file.problem, "too large: 1001 bytes, at most 1000");
  EXPECT_EQ(file.bytes, 1001u);
  EXPECT_EQ(Out("head -c 1000 /dev/zero >/tmp/out", "/tmp/out", 1000).problem, "");
  // Sparse: it takes no room and would take an hour to copy.
  EXPECT_TRUE(absl::StartsWith(Out("truncate -s 1T /tmp/out", "/tmp/out", 1000, "default").problem, "too large: 1099511627776 bytes"));
}

TEST_F(CopyFilesTest, SymbolicLinksAreNotFollowed) {
  EXPECT_EQ(Out("ln -s /etc/shadow /tmp/out", "/tmp/out").problem, "a symbolic link, or behind one");
  EXPECT_EQ(Out("ln -s /etc /tmp/d", "/tmp/d/shadow").problem, "a symbolic link, or behind one");
  EXPECT_EQ(Out("echo x >/tmp/a; ln -s a /tmp/out", "/tmp/out").problem, "a symbolic link, or behind one");
  EXPECT_EQ(Out("ln -s /proc/self/root /tmp/d", "/tmp/d/etc/shadow").problem, "a symbolic link, or behind one");
}

TEST_F(CopyFilesTest, WhatIsNoRegularFileIsNotWaitedFor) {
  EXPECT_EQ(Out("mkfifo /tmp/out", "/tmp/out").problem, "no regular file");
  EXPECT_EQ(Out("mkdir /tmp/out", "/tmp/out").problem, "no regular file");
  for (const char* path : {"/dev/zero", "/dev/null"}) {
    EXPECT_NE(Out("true", path).problem, "") << path;
    const auto* setup = std::get_if<SetupFailed>(&outcome_.ending);
    EXPECT_TRUE(setup != nullptr && setup->step == "copy-out") << outcome_.ToString();
  }
  EXPECT_NE(Out("true", "/dev/stdin").problem, "");
}

TEST_F(CopyFilesTest, HardLinksAreRefused) {
  EXPECT_EQ(Out("echo x >/tmp/a; ln /tmp/a /tmp/out", "/tmp/out").problem, "has several names (hard links)");
}

TEST_F(CopyFilesTest, FilesOfTheKernelsDoNotComeOut) {
  for (const char* path : {"/proc/self/environ", "/proc/1/environ", "/proc/1/root/etc/shadow", "/proc/self/fd/0", "/proc/version", "/proc/self/maps"}) {
    EXPECT_NE(Out("true", path).problem, "") << path;
  }
}

TEST_F(CopyFilesTest, ADirectoryThatIsSwappedForALinkAllTheTimeLeadsNowhere) {
  WriteText(directory_ + "/secret", "secret");
  for (int i = 0; i < 15; ++i) {
    LaunchOptions options = Options(
        "mkdir /tmp/d /tmp/real; echo fine >/tmp/real/secret; cp /tmp/real/secret /tmp/d; "
        "while :; do mv /tmp/d /tmp/e; ln -s /shown /tmp/d; rm /tmp/d; mv /tmp/e /tmp/d; done & "
        "head -c 20000 /dev/urandom >/dev/null; exit 0");
    Policy policy = BuiltinPolicy("strict").value();
    policy.files.push_back({.kind = FileRule::Kind::kBind, .source = directory_, .destination = "/shown"});
    options.policy = CompilePolicy(policy).value();
    options.copy_out = {{.source = "/tmp/d/secret", .destination = out_ + "/file"}};
    options.stderr_spec = Stdio::Null();
    const Outcome outcome = Process::Launch(options)->Join().value();
    ASSERT_EQ(outcome.copied.size(), 1u);
    const CopiedFile& file = outcome.copied[0];
    EXPECT_TRUE(file.problem == "missing" || file.problem == "a symbolic link, or behind one" || file.problem == "") << file.problem;
    if (file.problem.empty()) {
      EXPECT_EQ(ReadText(out_ + "/file"), "fine\n");
    }
  }
}

// By an earlier child, in a directory of the host that both may write to.
TEST_F(CopyFilesTest, ALinkThatWasPlantedBeforeLeadsNowhere) {
  for (const char* name : {"/given", "/other", "/hidden"}) {
    ASSERT_EQ(mkdir((directory_ + name).c_str(), 0755), 0);
    ASSERT_EQ(chmod((directory_ + name).c_str(), 0777), 0);
  }
  WriteText(directory_ + "/hidden/secret", "secret");
  ASSERT_EQ(chmod((directory_ + "/hidden/secret").c_str(), 0600), 0);
  ASSERT_EQ(symlink("/hidden", (directory_ + "/given/out").c_str()), 0);
  ASSERT_EQ(symlink("/other", (directory_ + "/given/in").c_str()), 0);
  Policy policy = BuiltinPolicy("strict").value();
  policy.files.push_back({.source = directory_ + "/given", .destination = "/given", .access = FileRule::Access::kReadWrite});
  policy.files.push_back({.source = directory_ + "/other", .destination = "/other", .access = FileRule::Access::kReadWrite});
  policy.files.push_back({.source = directory_ + "/hidden", .destination = "/hidden"});
  LaunchOptions options = Options("true");
  options.policy = CompilePolicy(policy).value();
  options.copy_out = {{.source = "/given/out/secret", .destination = out_ + "/file"}};
  const Outcome outcome = Process::Launch(options)->Join().value();
  ASSERT_EQ(outcome.copied.size(), 1u) << outcome.ToString();
  EXPECT_EQ(outcome.copied[0].problem, "a symbolic link, or behind one");
  EXPECT_FALSE(fs::exists(out_ + "/file"));

  WriteText(directory_ + "/file", "text");
  options.copy_out.clear();
  options.copy_in = {{directory_ + "/file", "/given/in/made/file"}};
  const Outcome refused = Process::Launch(options)->Join().value();
  const auto* setup = std::get_if<SetupFailed>(&refused.ending);
  EXPECT_TRUE(setup != nullptr && setup->step == "copy-in" && setup->error_number == ELOOP) << refused.ToString();
  EXPECT_EQ(CountOf(directory_ + "/other"), 0u);
}

TEST_F(CopyFilesTest, ADestinationIsReplacedAndNotWrittenThrough) {
  WriteText(directory_ + "/precious", "precious");
  ASSERT_EQ(symlink((directory_ + "/precious").c_str(), (out_ + "/link").c_str()), 0);
  LaunchOptions options = Options("echo new >/tmp/out");
  options.copy_out = {{.source = "/tmp/out", .destination = out_ + "/link"}};
  EXPECT_EQ(Process::Launch(options)->Join()->copied[0].problem, "");
  EXPECT_EQ(ReadText(directory_ + "/precious"), "precious");
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(out_ + "/link")));
  EXPECT_EQ(ReadText(out_ + "/link"), "new\n");

  // What is there stays until the new file is complete.
  options = Options("true");
  options.copy_out = {{.source = "/tmp/out", .destination = out_ + "/link"}};
  EXPECT_EQ(Process::Launch(options)->Join()->copied[0].problem, "missing");
  EXPECT_EQ(ReadText(out_ + "/link"), "new\n");
}

TEST_F(CopyFilesTest, WhatCannotGoInFailsTheLaunch) {
  WriteText(directory_ + "/in", "x");
  for (const char* destination : {"/usr/bin/in", "/in", "/proc/in"}) {
    LaunchOptions options = Options("true");
    options.copy_in = {{.source = directory_ + "/in", .destination = destination}};
    const Outcome outcome = Process::Launch(options)->Join().value();
    const auto* setup = std::get_if<SetupFailed>(&outcome.ending);
    ASSERT_NE(setup, nullptr) << destination << outcome.ToString();
    EXPECT_EQ(setup->step, "copy-in");
    EXPECT_TRUE(absl::StrContains(setup->detail, destination)) << setup->detail;
  }
  LaunchOptions options = Options("true");
  options.copy_in = {{directory_ + "/in", "/tmp/twice"}, {directory_ + "/in", "/tmp/twice"}};
  EXPECT_TRUE(absl::StrContains(Process::Launch(options)->Join()->ToString(), "/tmp/twice"));
}

TEST_F(CopyFilesTest, WhatCannotBeIsRefusedBeforeAnythingRuns) {
  ASSERT_EQ(mkfifo((directory_ + "/fifo").c_str(), 0600), 0);
  WriteText(directory_ + "/in", "x");
  const auto error = [&](std::vector<CopyIn> in, std::vector<CopyOut> out, const std::string& policy) {
    LaunchOptions options = Options("touch " + directory_ + "/ran", policy);
    options.copy_in = std::move(in);
    options.copy_out = std::move(out);
    const absl::Status status = Process::Launch(options).status();
    EXPECT_FALSE(status.ok());
    return std::string(status.message());
  };
  EXPECT_TRUE(absl::StrContains(error({{directory_ + "/fifo", "/tmp/a"}}, {}, "strict"), "is no regular file"));
  EXPECT_TRUE(absl::StrContains(error({{directory_ + "/none", "/tmp/a"}}, {}, "strict"), "ENOENT"));
  EXPECT_TRUE(absl::StrContains(error({{directory_ + "/in", "/tmp/../a"}}, {}, "strict"), "must not contain"));
  EXPECT_TRUE(absl::StrContains(error({}, {{"tmp/a", out_ + "/a"}}, "strict"), "must be the absolute path of a file inside"));
  EXPECT_TRUE(absl::StrContains(error({}, {{"/tmp/a", directory_ + "/none/a"}}, "strict"), "ENOENT"));
  EXPECT_TRUE(absl::StrContains(error({}, {{"/tmp/a", out_}}, "strict"), "is a directory"));
  EXPECT_TRUE(absl::StrContains(error({}, {{"/tmp/a", out_ + "/" + std::string(256, 'n')}}, "strict"), "ENAMETOOLONG"));
  EXPECT_TRUE(absl::StrContains(error({{directory_ + "/in", "/tmp/a"}}, {}, "none"), "no own root"));
  EXPECT_FALSE(fs::exists(directory_ + "/ran"));
}

// As root it would be the machine's. The device is another one, lest a mistake takes away that.
TEST_F(CopyFilesTest, DevicesFifosAndStreamsAreNotReplaced) {
  ASSERT_EQ(mkfifo((out_ + "/fifo").c_str(), 0600), 0);
  ASSERT_EQ(symlink("fifo", (out_ + "/to-fifo").c_str()), 0);
  ASSERT_EQ(symlink("/proc/self/fd/1", (out_ + "/stdout").c_str()), 0);
  std::vector<std::string> names = {"fifo", "to-fifo", "stdout"};
  if (mknod((out_ + "/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0) names.push_back("null");
  for (const std::string& name : names) {
    struct stat before = {}, after = {};
    ASSERT_EQ(lstat((out_ + "/" + name).c_str(), &before), 0);
    LaunchOptions options = Options("echo x >/tmp/out; touch " + directory_ + "/ran");
    options.copy_out = {{.source = "/tmp/out", .destination = out_ + "/" + name}};
    const absl::Status status = Process::Launch(options).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name << status;
    EXPECT_TRUE(absl::StrContains(status.message(), "in whose place no file is put")) << status;
    ASSERT_EQ(lstat((out_ + "/" + name).c_str(), &after), 0);
    EXPECT_EQ(after.st_ino, before.st_ino) << name;
  }
}

TEST_F(CopyFilesTest, NothingIsLeftOfAProcessThatNobodyWaitedFor) {
  const size_t descriptors = CountOf("/proc/self/fd");
  {
    LaunchOptions options = Options("echo x >/tmp/out; exec sleep 1000");
    options.copy_out = {{.source = "/tmp/out", .destination = out_ + "/file"}};
    const Process process = Process::Launch(options).value();
  }
  EXPECT_EQ(CountOf("/proc/self/fd"), descriptors);
  EXPECT_EQ(CountOf(out_), 0u);
}

}  // namespace
}  // namespace brood

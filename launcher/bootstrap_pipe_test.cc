// What a spawned child makes of a message that is damaged: this binary is run by hand, as a parent would run it.

#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/process.h"
#include "serialization/framing.h"
#include "serialization/messages.h"

namespace brood {
namespace {

ExitCode Seven(std::string) { return {7}; }
BROOD_TARGET(Seven);

struct Ended {
  int code = -1;
  std::string err;
};

std::string OwnPath() {
  char path[PATH_MAX] = {};
  EXPECT_GT(readlink("/proc/self/exe", path, sizeof(path) - 1), 0);
  return path;
}

Ended RunWith(std::string_view bytes, std::string handle = "3") {
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd reader(fds[0]);
  UniqueFd writer(fds[1]);
  EXPECT_EQ(write(writer.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  writer.reset();
  LaunchOptions options;
  options.argv = {OwnPath(), internal::kBootstrapFlag, handle, "1"};
  options.inherited = {{.fd = reader.get(), .child_fd = internal::kMessageFd}};
  options.stderr_spec = Stdio::Capture();
  absl::StatusOr<Process> process = Process::Start(options);
  EXPECT_TRUE(process.ok()) << process.status();
  if (!process.ok()) return {};
  Ended ended;
  ended.code = process->Join(absl::Seconds(20)).value().exit_code();
  char buffer[4096];
  const UniqueFd err = process->TakeStderr();
  const ssize_t count = pread(err.get(), buffer, sizeof(buffer), 0);
  if (count > 0) ended.err.assign(buffer, static_cast<size_t>(count));
  return ended;
}

std::string Message(std::string target = "Seven", TypedValue argument = Pack(std::string("argument"))) {
  PreparationData preparation;
  preparation.name = "by hand";
  ProcessData process;
  process.target = std::move(target);
  process.arguments = {std::move(argument)};
  return FrameMessage(MessageType::kPreparationData, EncodePreparationData(preparation)) +
         FrameMessage(MessageType::kProcessData, EncodeProcessData(process));
}

void ExpectRefused(const Ended& ended, std::string_view reason) {
  EXPECT_EQ(ended.code, 125);
  EXPECT_NE(ended.err.find(reason), std::string::npos) << ended.err;
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
}

TEST(BootstrapPipeTest, AWholeMessageRuns) { EXPECT_EQ(RunWith(Message()).code, 7); }

TEST(BootstrapPipeTest, APipeThatClosesEarlyIsOneClearError) {
  ExpectRefused(RunWith(""), "read preparation data: the other end closed without a message");
}

TEST(BootstrapPipeTest, EveryTruncationIsOneClearError) {
  const std::string message = Message();
  for (size_t size = 1; size < message.size(); size += 23) {
    ExpectRefused(RunWith(std::string_view(message).substr(0, size)), "brood: bootstrap: read ");
  }
}

TEST(BootstrapPipeTest, FlippedBitsAreOneClearError) {
  std::string message = Message();
  for (size_t bit = 0; bit < message.size() * 8; bit += 61) {
    message[bit / 8] = static_cast<char>(message[bit / 8] ^ (1 << (bit % 8)));
    ExpectRefused(RunWith(message), "brood: bootstrap: read ");
    message[bit / 8] = static_cast<char>(message[bit / 8] ^ (1 << (bit % 8)));
  }
}

TEST(BootstrapPipeTest, GarbageIsOneClearError) {
  ExpectRefused(RunWith(std::string(4096, 'g')), "these bytes are no message");
}

TEST(BootstrapPipeTest, UnknownTargetsAndWrongTypesAreNamed) {
  ExpectRefused(RunWith(Message("Eight")), "target \"Eight\": not registered");
  ExpectRefused(RunWith(Message("Seven", Pack(7))), "target Seven: argument 1: expected string, got int32");
}

TEST(BootstrapPipeTest, HandlesThatNobodyPassedAreRefused) {
  for (const char* handle : {"99", "-1", "x", "", "2"}) ExpectRefused(RunWith("", handle), "not what a parent passes");
}

}  // namespace
}  // namespace brood

#include "cli/testdata/brood_under_test.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "gtest/gtest.h"

namespace brood {
namespace {

UniqueFd MemoryFile(std::string_view content) {
  UniqueFd fd(memfd_create("test", MFD_CLOEXEC));
  EXPECT_EQ(write(fd.get(), content.data(), content.size()), static_cast<ssize_t>(content.size()));
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_SET), 0);
  return fd;
}

std::string ReadRest(int fd) {
  std::string content;
  char buffer[4096];
  for (ssize_t count = 0; (count = read(fd, buffer, sizeof(buffer))) > 0;)
    content.append(buffer, static_cast<size_t>(count));
  return content;
}

}  // namespace

std::string Resolved(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  EXPECT_NE(resolved, nullptr) << path;
  const std::string result = resolved != nullptr ? resolved : "";
  free(resolved);
  return result;
}

StartedBrood::StartedBrood(const std::vector<std::string>& args, std::string_view input, const std::string& program) {
  const std::string path = Resolved(program);  // Tests run in their runfiles.
  std::vector<char*> argv = {const_cast<char*>("brood")};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  int out[2];
  EXPECT_EQ(pipe2(out, O_CLOEXEC), 0);
  out_ = UniqueFd(out[0]);
  const UniqueFd out_write(out[1]);
  const UniqueFd in = MemoryFile(input);
  err_ = MemoryFile("");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out_write.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err_.get(), STDERR_FILENO);
  EXPECT_EQ(posix_spawn(&pid_, path.c_str(), &actions, nullptr, argv.data(), environ), 0);
  posix_spawn_file_actions_destroy(&actions);
}

StartedBrood::~StartedBrood() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
}

std::string StartedBrood::ReadLine() {
  std::string line;
  char c = 0;
  while (read(out_.get(), &c, 1) == 1) {
    line += c;
    if (c == '\n') break;
  }
  return line;
}

void StartedBrood::Signal(int signal) { EXPECT_EQ(kill(pid_, signal), 0); }

void StartedBrood::AwaitSleep() const {
  // proc(5), /proc/pid/stat: "1234 (brood) S". Before its exec it has our name.
  std::string number, name, state;
  while (name != "(brood)" || state != "S") {
    ASSERT_TRUE(std::ifstream("/proc/" + std::to_string(pid_) + "/stat") >> number >> name >> state);
  }
}

Finished StartedBrood::Wait() {
  Finished finished;
  if (out_.valid()) finished.out = ReadRest(out_.get());
  int status = 0;
  EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
  pid_ = -1;
  finished.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  EXPECT_EQ(lseek(err_.get(), 0, SEEK_SET), 0);
  finished.err = ReadRest(err_.get());
  return finished;
}

Finished RunBrood(const std::vector<std::string>& args, std::string_view input) {
  return StartedBrood(args, input).Wait();
}

std::string Helper(std::string_view name) { return Resolved("tests/programs/bin/" + std::string(name)); }

std::string TempFile(std::string_view name, std::string_view content) {
  static const auto* directory = [] {
    std::string pattern = testing::TempDir() + "/brood_cli_XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    return new std::string(pattern);
  }();
  const std::string path = *directory + "/" + std::string(name);
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

std::string FileContent(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

}  // namespace brood

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/conformance/conformance.h"

namespace brood {

RawPipe::RawPipe() {
  int ends[2] = {-1, -1};
  EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
  reader.reset(ends[0]);
  writer.reset(ends[1]);
}

bool IsReadable(int fd, int timeout_ms) {
  pollfd poll_fd = {.fd = fd, .events = POLLIN, .revents = 0};
  return poll(&poll_fd, 1, timeout_ms) == 1;
}

bool EndsWithinPatience(int fd) {
  const absl::Time deadline = absl::Now() + absl::Milliseconds(kPatienceMs);
  char buffer[4096];
  while (IsReadable(fd, static_cast<int>(std::max<int64_t>(0, absl::ToInt64Milliseconds(deadline - absl::Now()))))) {
    if (read(fd, buffer, sizeof(buffer)) == 0) return true;
  }
  return false;
}

std::string ReadToEnd(int fd) {
  std::string text;
  char buffer[4096];
  while (IsReadable(fd, kPatienceMs)) {
    const ssize_t count = read(fd, buffer, sizeof(buffer));
    if (count <= 0) return text;
    text.append(buffer, static_cast<size_t>(count));
  }
  return absl::StrCat(text, " and no end");
}

std::string ReadFromStart(const UniqueFd& file) {
  std::string text;
  char buffer[4096];
  for (ssize_t count; (count = pread(file.get(), buffer, sizeof(buffer), static_cast<off_t>(text.size()))) > 0;) {
    text.append(buffer, static_cast<size_t>(count));
  }
  return text;
}

UniqueFd InheritableCopy(const UniqueFd& fd) { return UniqueFd(dup(fd.get())); }

void SetVariable(const char* name, const char* value) { setenv(name, value, 1); }

std::string CommandLineAndEnvironment() {
  std::stringstream text;
  for (const char* const path : {"/proc/self/cmdline", "/proc/self/environ"}) text << std::ifstream(path).rdbuf();
  for (char** variable = environ; *variable != nullptr; ++variable) text << *variable << "\n";
  return text.str();
}

UniqueFd OpenPid(int pid) { return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))); }

// "PID (NAME) STATE PPID ...", where NAME may hold anything. proc(5)
std::string FieldsAfterName(int pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  const size_t end_of_name = all.rfind(')');
  return end_of_name == std::string::npos ? "" : all.substr(end_of_name + 2);
}

char StateOf(int pid) {
  const std::string fields = FieldsAfterName(pid);
  return fields.empty() ? '\0' : fields[0];
}

int NearestAbove(int pid, std::string_view name) {
  while (pid > 0) {
    std::string line;
    std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
    std::getline(status, line);
    if (line == absl::StrCat("Name:\t", name)) return pid;
    std::string field;
    while (status >> field && field != "PPid:") {
    }
    if (!(status >> pid)) return 0;
  }
  return 0;
}

std::set<int> ChildrenOfThisProcess() {
  std::set<int> children;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &pid)) continue;
    std::istringstream fields(FieldsAfterName(pid));
    char state = 0;
    int parent = 0;
    if (fields >> state >> parent && parent == getpid()) children.insert(pid);
  }
  return children;
}

TemporaryFolder::TemporaryFolder() : path_(testing::TempDir() + "brood-XXXXXX") {
  EXPECT_NE(mkdtemp(path_.data()), nullptr);  // It replaces the six letters. mkdtemp(3)
}

TemporaryFolder::~TemporaryFolder() { std::filesystem::remove_all(path_); }

char ReadByte(const UniqueFd& pipe) {
  char byte = 0;
  return read(pipe.get(), &byte, 1) == 1 ? byte : '\0';
}

bool NobodyReads(const UniqueFd& pipe) {
  pollfd writer = {.fd = pipe.get(), .events = 0, .revents = 0};
  return poll(&writer, 1, 0) == 1 && (writer.revents & POLLERR) != 0;  // poll(2), POLLERR
}

std::vector<std::string> DoNothingProgram() { return {"true"}; }

std::string ProgramThatEndsAtOnce() { return "/bin/false"; }

void Sleep() {
  while (true) pause();
}

void WaitForEnd(const UniqueFd& pipe) {
  char byte;
  while (read(pipe.get(), &byte, 1) != 0) {
  }
}

void WriteByte(const UniqueFd& pipe, char byte) { (void)!write(pipe.get(), &byte, 1); }

}  // namespace brood

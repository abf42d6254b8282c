// What the tests of the forkserver share.
#ifndef BROOD_LAUNCHER_FORKSERVER_TESTING_H_
#define BROOD_LAUNCHER_FORKSERVER_TESTING_H_

#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/unique_fd.h"
#include "forkserver/status_text.h"
#include "gtest/gtest.h"

namespace brood {

inline std::string Read(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Whether it has executed a program since it was forked: PF_FORKNOEXEC in the ninth field of proc(5), /proc/pid/stat.
inline bool HasExecuted(int pid) {
  const std::string stat = Read(absl::StrCat("/proc/", pid, "/stat"));
  const std::vector<std::string> fields = absl::StrSplit(stat.substr(std::min(stat.rfind(')'), stat.size())), ' ');
  unsigned flags = 0;
  return fields.size() > 7 && absl::SimpleAtoi(fields[7], &flags) && (flags & 0x40) == 0;
}

// The child of `parent` with this name, which its own forks have too at first; 0 if there is none.
inline int ChildNamed(int parent, const std::string& name) {
  int found = 0;
  DIR* directory = opendir("/proc");
  while (const dirent* entry = readdir(directory)) {
    int pid = 0;
    if (!absl::SimpleAtoi(entry->d_name, &pid)) continue;
    const std::string status = Read(absl::StrCat("/proc/", pid, "/status"));
    int its = 0;
    if (absl::StartsWith(status, absl::StrCat("Name:\t", name, "\n")) &&
        absl::SimpleAtoi(internal::StatusField(status, "PPid"), &its) && its == parent && HasExecuted(pid)) {
      found = pid;
    }
  }
  closedir(directory);
  return found;
}

// The supervisor above this process; 0 if there is none.
inline int SupervisorAbove() {
  int pid = getpid();
  while (pid > 0) {
    const std::string status = Read(absl::StrCat("/proc/", pid, "/status"));
    if (absl::StartsWith(status, "Name:\tbrood-supervise\n")) return pid;
    if (!absl::SimpleAtoi(internal::StatusField(status, "PPid"), &pid)) return 0;
  }
  return 0;
}

// Its forkserver.
inline int ServerAbove() {
  const int supervisor = SupervisorAbove();
  return supervisor > 0 ? ChildNamed(supervisor, "brood-server") : 0;
}

struct Ends {
  UniqueFd reader, writer;
};

inline Ends MakePipe() {
  int fds[2];
  EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// Runs `body` in a fork of this process, for what cannot be undone. Its text is "" if all was well.
inline std::string InFork(const std::function<std::string()>& body) {
  const Ends pipe = MakePipe();
  std::fflush(nullptr);
  const pid_t pid = fork();
  if (pid == 0) {
    const std::string said = body();
    (void)!write(pipe.writer.get(), said.data(), said.size());
    _exit(0);
  }
  const_cast<UniqueFd&>(pipe.writer).reset();
  std::string said;
  char buffer[4096];
  for (ssize_t n; (n = read(pipe.reader.get(), buffer, sizeof(buffer))) > 0;) said.append(buffer, static_cast<size_t>(n));
  int status = 0;
  waitpid(pid, &status, 0);
  return status == 0 ? said : absl::StrCat(said, "; status ", status);
}

inline std::string TextOf(int fd) {
  char buffer[4096];
  const ssize_t n = pread(fd, buffer, sizeof(buffer), 0);
  return std::string(buffer, n > 0 ? static_cast<size_t>(n) : 0);
}

inline size_t OpenDescriptors() {
  size_t count = 0;
  DIR* directory = opendir("/proc/self/fd");
  while (readdir(directory) != nullptr) ++count;
  closedir(directory);
  return count;
}

}  // namespace brood

#endif  // BROOD_LAUNCHER_FORKSERVER_TESTING_H_

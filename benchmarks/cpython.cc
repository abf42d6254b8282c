#include "benchmarks/cpython.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/runfiles.h"
#include "launcher/launch_options.h"

namespace brood {
namespace {

constexpr char kPython[] = "/usr/bin/python3";

}  // namespace

absl::StatusOr<CPython> CPython::Start() {
  if (access(kPython, X_OK) != 0) return absl::NotFoundError(absl::StrCat("there is no ", kPython));
  BROOD_ASSIGN_OR_RETURN(const std::string directory, RunfilesDirectory("benchmarks"));
  int in[2];
  int out[2];
  if (pipe2(in, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  const UniqueFd its_in(in[0]);
  UniqueFd to(in[1]);
  if (pipe2(out, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe");
  UniqueFd from(out[0]);
  const UniqueFd its_out(out[1]);
  LaunchOptions options;
  // -I: neither the user's packages nor variables change what is measured.
  options.argv = {kPython, "-I", std::filesystem::canonical(directory + "/cpython.py").string()};
  options.stdin_spec = Stdio::Fd(its_in.get());
  options.stdout_spec = Stdio::Fd(its_out.get());
  BROOD_ASSIGN_OR_RETURN(Process process, Process::Launch(options));
  return CPython(std::move(process), std::move(to), std::move(from));
}

absl::StatusOr<double> CPython::Do(std::string_view command) {
  const std::string line = absl::StrCat(command, "\n");
  if (write(to_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    return ErrnoStatus(errno, "write", "to python3");
  }
  std::string answer;
  for (char c = 0; c != '\n';) {
    const ssize_t n = read(from_.get(), &c, 1);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return absl::AbortedError("python3 has ended");
    if (c != '\n') answer += c;
  }
  double time_us = 0;
  if (!absl::SimpleAtod(answer, &time_us)) return absl::InternalError(answer);
  return time_us;
}

}  // namespace brood

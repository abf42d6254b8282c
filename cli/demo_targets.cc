#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "cli/demo_attacks.h"

namespace brood {

absl::StatusOr<DemoTargets> DemoTargets::Create(const std::string& programs) {
  LaunchOptions options;
  options.argv = {absl::StrCat(programs, "/sleeps_forever")};
  options.stdin_spec = options.stdout_spec = options.stderr_spec = Stdio::Null();
  BROOD_ASSIGN_OR_RETURN(Process outsider, Process::Start(options));

  char directory[] = "/var/tmp/brood-demo.XXXXXX";
  if (mkdtemp(directory) == nullptr) return ErrnoStatus(errno, "mkdtemp", directory);
  DemoTargets targets(std::move(outsider), directory);
  targets.inside_ = absl::StrCat("/attacks-", getpid());

  targets.listener_ = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(targets.listener_.get(), reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(targets.listener_.get(), 8) != 0 ||
      getsockname(targets.listener_.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return ErrnoStatus(errno, "listen", "127.0.0.1");
  }
  targets.port_ = ntohs(address.sin_port);
  return targets;
}

DemoTargets::~DemoTargets() {
  if (directory_.empty()) return;  // Moved from.
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string DemoTargets::Connection() const {
  pollfd ready = {.fd = listener_.get(), .events = POLLIN, .revents = 0};
  return poll(&ready, 1, 0) == 0 ? "" : "the listener outside has a connection";
}

std::string DemoTargets::Outsider() { return outsider_.IsAlive() ? "" : "the process outside is dead"; }

std::string DemoTargets::Directory() const {
  std::error_code error;
  const bool empty = std::filesystem::is_empty(directory_, error);
  return empty && !error ? "" : absl::StrCat(directory_, " is not empty");
}

std::string DemoTargets::LeftProcess(const std::string& program) const {
  const std::string path = absl::StrCat(inside_, "/", program);
  std::error_code error;
  for (std::filesystem::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
    int pid = 0;
    if (!absl::SimpleAtoi(it->path().filename().string(), &pid)) continue;
    // Inserted, not read by iterators, which throw for a process that ends meanwhile (ESRCH).
    std::ostringstream text;
    text << std::ifstream(it->path() / "cmdline", std::ios::binary).rdbuf();
    const std::string line = text.str();
    // The first argument, not any: this process has the path in no argument at all, but a debugger of ours may.
    if (line.compare(0, path.size() + 1, path.c_str(), path.size() + 1) == 0) {
      return absl::StrCat("process ", pid, " of it is still alive");
    }
  }
  return "";
}

}  // namespace brood

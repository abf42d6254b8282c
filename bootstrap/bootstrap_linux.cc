#include "bootstrap/bootstrap.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/bootstrapped.h"
#include "base/fork_generation.h"
#include "base/own_process.h"
#include "bootstrap/exit.h"
#include "bootstrap/plugin.h"
#include "bootstrap/registry.h"
#include "bootstrap/run_child.h"
#include "ipc/names_broker.h"

namespace brood {
namespace {

void (*g_server_main)(int socket) = nullptr;
uint64_t g_main = 0;  // The process that called it; a fork has copies of its exit handlers.

[[noreturn]] void RunSpawned(const char* handle_text, const char* parent_text) {
  int fd = -1;
  int parent = -1;
  if (!absl::SimpleAtoi(handle_text, &fd) || !absl::SimpleAtoi(parent_text, &parent) || fd < 3 || parent < 0 ||
      fcntl(fd, F_GETFD) < 0) {
    internal::FailBootstrap(-1, absl::InvalidArgumentError(
                                    absl::StrCat("handle \"", handle_text, "\", parent \"", parent_text,
                                                 "\": not what a parent passes; this command line is not for people")));
  }
  // The message that would say where the set-up socket is may be the damaged one, so its place is fixed.
  struct stat about = {};
  const bool from_launcher =
      fd == internal::kMessageFd && fstat(internal::kSetupFd, &about) == 0 && S_ISSOCK(about.st_mode);
  internal::RunMessage(fd, from_launcher ? internal::kSetupFd : -1);
}

// That which a server of brood's own, started by this program, is to serve.
int SocketOf(int argc, char** argv) {
  int socket = -1;
  if (argc != 3 || !absl::SimpleAtoi(argv[2], &socket) || socket < 3 || fcntl(socket, F_GETFD) < 0) {
    internal::FailBootstrap(
        -1, absl::InvalidArgumentError(absl::StrCat(argv[1], " takes a socket; this command line is not for people")));
  }
  fcntl(socket, F_SETFD, FD_CLOEXEC);
  return socket;
}

[[noreturn]] void RunServer(int socket) {
  if (g_server_main == nullptr) {
    internal::FailBootstrap(-1, absl::UnimplementedError("this program is not linked with brood's launcher, and cannot be a "
                                                         "forkserver"));
  }
  g_server_main(socket);
  EndOwnProcess(internal::kBootstrapFailedCode);
}

}  // namespace

void internal::SetServerMain(void (*main)(int socket)) { g_server_main = main; }

void Bootstrap(int argc, char** argv) {
  // In a spawned child too: its target may start children of its own.
  if (internal::g_bootstrapped.exchange(true)) return;
  internal::SetPluginFinder(internal::FindPluginTarget);
  if (argc >= 2 && std::string_view(argv[1]) == internal::kBootstrapFlag) {
    if (argc != 4) {
      internal::FailBootstrap(
          -1, absl::InvalidArgumentError(absl::StrCat(internal::kBootstrapFlag, " takes a handle and a parent, got ",
                                                      argc - 2, " arguments; this command line is not for people")));
    }
    RunSpawned(argv[2], argv[3]);
  }
  if (argc >= 2 && std::string_view(argv[1]) == internal::kServerFlag) RunServer(SocketOf(argc, argv));
  if (argc >= 2 && std::string_view(argv[1]) == internal::kNamesFlag) internal::RunNamesBroker(SocketOf(argc, argv));
  g_main = ForkGeneration();
  // As at the end of a target: finalizers run, and children that are still there are ended in order. atexit(3).
  std::atexit([] {
    if (g_main == ForkGeneration()) internal::RunAtExit();
  });
}

bool internal::BootstrapWasCalled() { return g_bootstrapped; }

}  // namespace brood

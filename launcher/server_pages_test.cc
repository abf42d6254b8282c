// What of a server's memory each fork copies the page tables of, or the pages, though no child has a use for it.
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bootstrap/bootstrap.h"
#include "bootstrap/target.h"
#include "forkserver/smaps.h"
#include "gtest/gtest.h"
#include "launcher/server.h"
#include "launcher/server_list.h"

namespace brood {
namespace {

constexpr uint64_t kPage = 4096;

void DoNothing() {}
BROOD_TARGET(DoNothing);

std::string ReadAll(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// The child of the only server's supervisor that forks; 0 if it was not found.
pid_t PidOfServer() {
  for (const ServerState& state : ListServers()) {
    const std::string supervisor = absl::StrCat(state.supervisor);
    std::istringstream children(ReadAll(absl::StrCat("/proc/", supervisor, "/task/", supervisor, "/children")));
    for (pid_t pid; children >> pid;) {
      if (ReadAll(absl::StrCat("/proc/", pid, "/comm")) == "brood-server\n") return pid;
    }
  }
  return 0;
}

// Code of which some pages are the server's own, so that a fork copies the entries of all pages that are mapped there. What is
// mapped there besides was brought by what the server and its keepers have run since.
TEST(ServerPagesTest, OfCodeAForkCopiesOnlyWhatChildrenRun) {
  absl::StatusOr<Server> server = Server::Start();
  ASSERT_TRUE(server.ok()) << server.status();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(server->Call("DoNothing").ok());
  const pid_t pid = PidOfServer();
  ASSERT_NE(pid, 0);
  const std::string text = ReadAll(absl::StrCat("/proc/", pid, "/smaps"));
  const auto mappings = internal::ParseSmaps(text, std::pmr::get_default_resource());
  ASSERT_TRUE(mappings.ok()) << mappings.status();
  uint64_t own = 0, others = 0;
  for (const internal::Mapping& mapping : *mappings) {
    if (!mapping.executable || mapping.anonymous_bytes == 0) continue;
    own += mapping.anonymous_bytes;
    others += mapping.rss_bytes - mapping.anonymous_bytes;
  }
  if (own == 0) GTEST_SKIP() << "nothing was warmed: a sanitizer, or a kernel that does not help; see forkserver/warm.h";
  // The kernel maps 16 pages for one that is missing.
  EXPECT_LE(others / kPage, 16u) << "beside " << own / kPage << " of its own";
}

}  // namespace
}  // namespace brood

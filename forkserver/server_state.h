// Forkservers and their templates, as their clients ask for them and see them.
#ifndef BROOD_FORKSERVER_SERVER_STATE_H_
#define BROOD_FORKSERVER_SERVER_STATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "forkserver/server_report.h"
#include "serialization/messages.h"

namespace brood {

// A process that is forked from a server, or from another template, when it is first needed, runs its own preload besides what is
// there, and forks children in its turn.
struct Template {
  std::string name;                  // For addresses: "server/model/tokenizer". May not be empty, nor hold '/'.
  std::vector<std::string> preload;  // As ContextOptions::preload.
  Freeze freeze = Freeze::kOff;      // As ContextOptions::freeze: what was not frozen already.
  bool operator==(const Template&) const = default;
};

struct ServerState {
  std::string address;               // "server", or that of what it is a template of, '/', and its name.
  std::string executable;            // As ContextOptions::executable.
  std::vector<std::string> preload;  // All of them, also those of what it is a template of.
  bool running = false;              // Else it was not needed yet, or has ended: what follows is of no meaning.
  int supervisor = 0;                // The process that serves requests; the server is its child.
  uint64_t children = 0;             // That this process has asked it for.
  absl::Duration age;
  ServerReport report;
};

}  // namespace brood

#endif  // BROOD_FORKSERVER_SERVER_STATE_H_

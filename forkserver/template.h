// Templates: servers that were forked from a server, and have preloaded more since.
//
//   supervisor ── server ── keeper ── supervisor of the template ── template, a copy of the server ── keeper ── child
//
// A client asks a server for one (kTemplateTag), as for a child. What a keeper forks then forks in its turn: the copy runs its
// preload, and keeps keepers; its parent becomes the supervisor of that, by exec, so that nothing that was preloaded is in it. To
// its client a template is a server as any: it has a socket, a supervisor, children that outlive it. It ends with its client, with
// the server's supervisor, and with the keeper that has it as its child. If the template itself ends, its supervisor starts in its
// place a server that preloads everything.
#ifndef BROOD_FORKSERVER_TEMPLATE_H_
#define BROOD_FORKSERVER_TEMPLATE_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/unique_fd.h"
#include "forkserver/request.h"
#include "forkserver/supervisor.h"
#include "serialization/messages.h"

namespace brood::internal {

// `preparation`: of a server that preloads all; the first `done` of its preloads are in the one that is asked.
std::string EncodeTemplate(const PreparationData& preparation, size_t done);

// The descriptors that go with it: the socket that the template is to serve, the owner, three streams for its preload. Where
// there is none yet, the first record on the socket is a ServerNote of kBorn with a descriptor of its supervisor, or of kFailed.
inline constexpr size_t kTemplateFds = 5;

bool IsTemplate(std::string_view bytes);

// In the supervisor of the server that is asked.
void PlaceTemplate(Supervisor& supervisor, Request request);

// In the keeper's child. `parent` is that keeper.
[[noreturn]] void RunTemplate(Request& request);

}  // namespace brood::internal

#endif  // BROOD_FORKSERVER_TEMPLATE_H_

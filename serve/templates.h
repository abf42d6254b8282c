// The templates of a `brood serve`: what each has preloaded besides the server, and how a client names it.
//
//   --template model=LoadModel --template model/english=LoadEnglish
//
// A path is that of what it is a template of, '/', and its own name; forkserver/template.h.
#ifndef BROOD_SERVE_TEMPLATES_H_
#define BROOD_SERVE_TEMPLATES_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "launcher/context_options.h"

namespace brood {

struct ServeTemplate {
  std::string path;
  std::vector<std::string> preload;
};

namespace internal {

// By path; "": the server itself, as in `base`. Errors: InvalidArgument naming the template.
absl::StatusOr<std::map<std::string, ContextOptions>> ContextsOf(const ContextOptions& base, const std::vector<ServeTemplate>& templates);

}  // namespace internal
}  // namespace brood

#endif  // BROOD_SERVE_TEMPLATES_H_

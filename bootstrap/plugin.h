// Targets of plugins: PATH.so:NAME, on Windows PATH.dll:NAME.
//
// A plugin is a shared library whose sources say BROOD_TARGET; it needs nothing else. It is loaded by the process that
// runs the target, so within the sandbox, and never unloaded:
//
//   cc_binary(name = "libjob.so", srcs = ["job.cc"], linkshared = True, deps = ["//bootstrap:target"])
//   context.CallByName(options, "/opt/libjob.so:Norm", {Pack(vector)});
//
// There is one registry, the program's. The dynamic linker binds the plugin's calls of RegisterTarget, and of everything
// else in the namespaces brood and absl that the program has, to the program: ld.so(8) looks there first. So the program
// must export them: it depends on //bootstrap:plugin_host. What the plugin has linked itself of these is not used; what
// the program has not, is the plugin's own. A plugin that binds its own calls (-Bsymbolic, a version script) registers
// with itself, which nobody sees, and is refused for having no targets.
//
// A DLL has a copy of brood of its own, and so a registry, which the program reads: plugin_link.h tells what they share.
#ifndef BROOD_BOOTSTRAP_PLUGIN_H_
#define BROOD_BOOTSTRAP_PLUGIN_H_

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "bootstrap/registry.h"

namespace brood {

struct PluginTarget {
  std::string path;
  std::string name;  // Empty: the plugin as such.
};

// Nothing for a name that has no ".so" (or ".so.1") at its end or before a colon; on Windows ".dll", in whatever case.
std::optional<PluginTarget> SplitPluginTarget(std::string_view target);

extern const char kPluginSuffix[];  // ".so", ".dll": for what is said to people.

namespace internal {

// Loads the plugin, which runs its static initialisers. A name without a slash is looked for in `folders` only.
// The targets that it has registered, the newest first; none for a library that registers none.
//
// Errors: NotFound (no such file), FailedPrecondition (not a shared library, symbols that nobody has, built for another
//   brood: which), Unknown with "TYPE: MESSAGE" (an initialiser threw).
absl::StatusOr<std::vector<const TargetEntry*>> LoadPlugin(const std::string& path,
                                                           const std::vector<std::string>& folders);

// Why a library that was loaded may have no targets: an end for an error message.
extern const char kWhyNoTargets[];

// A PluginFinder, with the folders of PreparationData::plugin_path. Of a plugin as such, a target that does nothing:
// it is for a preload. Errors: those of LoadPlugin; NotFound (no such target in it: which there are).
absl::StatusOr<const TargetEntry*> FindPluginTarget(std::string_view target);

// The plugin that is being loaded now, for an initialiser that ends the process; else null.
const char* PluginBeingLoaded();

}  // namespace internal
}  // namespace brood

#endif  // BROOD_BOOTSTRAP_PLUGIN_H_

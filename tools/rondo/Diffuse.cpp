// Diffuse.cpp - Text from a package that sees whole sequences.

#include "tools/rondo/Diffuse.h"

#include "tools/rondo/Console.h"

#include <fmt/format.h>

namespace rondo::cli {

namespace {

/// `forward` over a whole sequence, with its inputs by name.
class Forward {
public:
  static Result<Forward> of(Session &session, bool noisy) {
    RONDO_TAKE(const package::Entry *entry, session.entry("forward"));
    Forward forward(session, *entry);
    bool tokens = false;
    for (const package::Value *value : *entry->inputs()) {
      std::string_view name = value->name()->string_view();
      bool isToken = name == "tokens" && dtypeOf(value->dtype()) == DType::I64,
           isLevel = noisy && name == "sigma" && dtypeOf(value->dtype()) == DType::F32;
      for (int64_t extent : extentsOf(*value))
        isLevel = isLevel && extent == 1;
      if (!isToken && !isLevel)
        return Error{fmt::format("{}: entry 'forward' takes '{}'; expected tokens{} alone",
                                 session.path(), name, noisy ? " and sigma[level = 1]" : "")};
      tokens = tokens || isToken;
      forward.isTokens.push_back(isToken);
    }
    if (!tokens || entry->outputs()->size() != 1)
      return Error{fmt::format("{}: entry 'forward': expected the input 'tokens' and one output",
                               session.path())};
    return forward;
  }

  Result<std::span<const float>> operator()(std::span<const int64_t> tokens, double sigma) {
    levels.assign(tokens.size(), static_cast<float>(sigma));
    std::vector<std::span<const std::byte>> inputs;
    for (bool isToken : isTokens)
      inputs.push_back(isToken ? std::as_bytes(tokens) : std::as_bytes(std::span(levels)));
    RONDO_TAKE(State state, session->newState());
    State *states[] = {&state};
    const int64_t lengths[] = {static_cast<int64_t>(tokens.size())};
    RONDO_TAKE(outputs, session->run(*entry, states, lengths, inputs));
    return std::span<const float>(outputs.front().as<float>());
  }

private:
  Forward(Session &session, const package::Entry &entry) : session(&session), entry(&entry) {}
  Session *session;
  const package::Entry *entry;
  std::vector<bool> isTokens;
  std::vector<float> levels;
  std::vector<Tensor> outputs;
};

} // namespace

Result<std::vector<int64_t>> diffuse(Session &session, const package::Objective &objective,
                                     const std::vector<int64_t> &prompt, int64_t count,
                                     const DiffusionOptions &options) {
  std::string_view name = objective.name()->string_view();
  bool scores = name == "score_entropy";
  if (!scores && name != "masked_diffusion")
    return Error{fmt::format("{}: objective '{}' has no sampler here; expected masked_diffusion or "
                             "score_entropy",
                             session.path(), name)};
  if (scores && options.block > 0)
    return Error{
        fmt::format("--block-length {}: '{}' fills all tokens together", options.block, name)};
  RONDO_TAKE(Forward forward, Forward::of(session, scores));
  std::vector<int64_t> tokens = prompt;
  for (int64_t token : prompt)
    if (token == objective.mask())
      return Error{fmt::format("the prompt has the mask, id {}, among its tokens", token)};
  tokens.resize(prompt.size() + static_cast<size_t>(count), objective.mask());
  Progress progress("fill");
  auto show = [&](int64_t done, int64_t all) { progress.show(done, all, "steps"); };
  Status filled = scores ? denoiseScores(tokens, objective.mask(), options, forward, show)
                         : fillMasked(
                               tokens, objective.mask(), options,
                               [&](std::span<const int64_t> now) { return forward(now, 0); }, show);
  RONDO_CHECK(filled);
  return std::vector<int64_t>(tokens.begin() + static_cast<std::ptrdiff_t>(prompt.size()),
                              tokens.end());
}

} // namespace rondo::cli

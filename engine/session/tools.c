/* The tools that exist, and the traffic between them and the session. */
#include "session/session_priv.h"

static const struct bd_tool *const tools[BD_TOOLS] = {
    [BD_TOOL_SWEEP] = &bd_sweep_tool,
    [BD_TOOL_SEARCH] = &bd_search_tool,
    [BD_TOOL_TRADE] = &bd_trade_tool,
    [BD_TOOL_COMPARE] = &bd_compare_tool,
    [BD_TOOL_FEATURE] = &bd_feature_tool,
    [BD_TOOL_REPAIR] = &bd_repair_tool,
    [BD_TOOL_PLANES] = &bd_planes_tool,
};

const struct bd_tool *bd_tool_at(enum bd_tool_id id)
{
    return tools[id];
}

void *bd_tool_state(struct bd_session *s, enum bd_tool_id id)
{
    if (!s->tool[id] && tools[id])
        s->tool[id] = bd_calloc(1, tools[id]->state_size);
    return s->tool[id];
}

const void *bd_tool_peek(const struct bd_session *s, enum bd_tool_id id)
{
    return s->tool[id];
}

uint64_t bd_tool_key(enum bd_tool_id id, uint32_t sub)
{
    return bd_live_key(BD_LIVE_TOOL, (int)((uint32_t)id << 24 | sub));
}

void bd_tools_accept(struct bd_session *s, struct bd_done *d, uint32_t low)
{
    enum bd_tool_id id = (enum bd_tool_id)(low >> 24);
    void *state = bd_tool_state(s, id);

    if (state)
        tools[id]->accept(s, state, d, low & 0xffffffu);
    else if (d->result)
        d->job->free_result(d->result);
}

void bd_tools_edited(struct bd_session *s)
{
    for (int i = 0; i < BD_TOOLS; i++)
        if (s->tool[i] && tools[i]->edited)
            tools[i]->edited(s, s->tool[i]);
}

void bd_tools_done(struct bd_session *s)
{
    for (int i = 0; i < BD_TOOLS; i++) {
        if (s->tool[i] && tools[i]->done)
            tools[i]->done(s->tool[i]);
        bd_free(s->tool[i]);
        s->tool[i] = NULL;
    }
}

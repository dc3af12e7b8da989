"""GLSL of the GL renderer. One vertex stage places instances; fragment stages draw surfaces or the backdrop."""

from __future__ import annotations

VIEWS = 16  # the most views one atlas holds
STRIDE = 256  # bytes from one view's block to the next: no device asks for more
FILLS = 7
FRAMES = 1024  # the most frames a scene may have: 48 KiB of the 64 KiB that a uniform block may hold

_FRAME = f"""
#define FILLS {FILLS}
#define FRAMES {FRAMES}
""" + """
layout(std140) uniform View { mat4 clip; mat4 rays; vec4 eye; };  // world to clip; clip to directions; xyz, exposure
layout(std140) uniform Lights {
    mat4 shade;          // world to shadow map
    vec4 lift;           // m that keeps surfaces off their own shadow, along their normal
    vec4 key_direction;  // towards the light
    vec4 key_color;
    vec4 fill_direction[FILLS];
    vec4 fill_color[FILLS];
    vec4 ambient;        // rgb, number of fills
    vec4 backdrop;       // linear rgb, texture layer
};
"""

_PLACE = """
layout(std140) uniform Frames { vec4 rows[3 * FRAMES]; };  // frame to world, three rows each
in vec3 position; in float frame;
vec3 moved(vec4 p) {
    int k = 3 * int(frame);
    return vec3(dot(rows[k], p), dot(rows[k + 1], p), dot(rows[k + 2], p));
}
"""

_LOBE = """
float lobe(vec3 facing, vec3 sun, vec3 to_eye, float power) {  // GGX; a power would cost a third of a pixel
    vec3 h = sun * length(to_eye) + to_eye;                    // halfway, of any length
    float across = max(dot(facing, h), 0.0), whole = dot(facing, facing) * dot(h, h);
    float share = whole / (whole + power * (whole - across * across));
    return share * share;
}
"""

SHADOW_VERTEX = "#version 330\n" + _FRAME + _PLACE + """
void main() { gl_Position = shade * vec4(moved(vec4(position, 1.0)), 1.0); }
"""

SHADOW_FRAGMENT = "#version 330\nvoid main() {}\n"

# Light is worked out at the corners, exposure included, and glints of what is rough with it: software rasterisers pay
# by the pixel, and dearly for looking into a block. Only a glossy surface has its glint worked out at every pixel.
SURFACE_VERTEX = "#version 330\n%(define)s\n" + _FRAME + _PLACE + _LOBE + """
in vec3 normal; in vec2 place; in vec3 color; in vec3 surface;  // linear rgb; layer, roughness, specular
out vec3 base; out vec3 key; out vec3 shaded; out vec2 uv;
flat out vec3 finish;                                            // layer, exponent, frame
#ifdef GLOSS
out vec3 facing; out vec3 to_eye; flat out vec3 sun; flat out vec3 shine;  // to the key light; its glint
#else
out vec3 glint;
#endif
void main() {
    vec3 world = moved(vec4(position, 1.0)), n = moved(vec4(normal, 0.0)), e = eye.xyz - world;
    vec3 around = ambient.rgb * (0.72 + 0.28 * n.z);
    for (int k = 0; k < int(ambient.w); ++k)
        around += max(dot(n, fill_direction[k].xyz), 0.0) * fill_color[k].rgb;
    base = color * around * eye.w;
    key = color * key_color.rgb * max(dot(n, key_direction.xyz), 0.0) * eye.w;
    uv = place;
    shaded = (shade * vec4(world + n * lift.x, 1.0)).xyz * 0.5 + 0.5;
    float rough = max(surface.y * surface.y, 0.05), power = 1.0 / (rough * rough);
    finish = vec3(surface.x, power, frame);
    vec3 gleam = key_color.rgb * surface.z * (power + 4.0) * 0.02 * eye.w;
#ifdef GLOSS
    facing = n; to_eye = e; sun = key_direction.xyz; shine = gleam;
#else
    glint = lobe(n, key_direction.xyz, e, power) * step(1e-4, key.r + key.g + key.b) * gleam;
#ifndef PATTERN
    key += glint;
#endif
#endif
    gl_Position = clip * vec4(world, 1.0);
}
"""

_DEVELOP = """
vec3 develop(vec3 x) {
    return sqrt(x * (1.0 + x * 0.12) / (1.0 + x * 0.45));  // a shoulder, then a display gamma of 2
}
"""

SURFACE_FRAGMENT = "#version 330\n%(define)s\n" + _FRAME + """
uniform sampler2DArray patterns;
uniform sampler2DShadow shadows;
in vec3 base; in vec3 key; in vec3 shaded; in vec2 uv;
flat in vec3 finish;
#ifdef GLOSS
in vec3 facing; in vec3 to_eye; flat in vec3 sun; flat in vec3 shine;
#else
in vec3 glint;
#endif
layout(location = 0) out vec4 rgb;
#ifdef GEOMETRY
layout(location = 1) out vec2 geometry;                // depth m, frame
#endif
""" + _LOBE + _DEVELOP + """
void main() {
    vec3 direct = key;
    float pattern = 1.0;
#ifdef PATTERN
    pattern = texture(patterns, vec3(uv, finish.x)).r;
    direct *= pattern;
#endif
#ifdef GLOSS
    direct += lobe(facing, sun, to_eye, finish.y) * step(1e-4, key.r + key.g + key.b) * shine;
#elif defined(PATTERN)
    direct += glint;
#endif
    rgb = vec4(develop(pattern * base + texture(shadows, shaded) * direct), 1.0);
#ifdef GEOMETRY
    geometry = vec2(1.0 / gl_FragCoord.w, finish.z);
#endif
}
"""

BACKDROP_VERTEX = "#version 330\n" + _FRAME + """
out vec3 ray;
void main() {
    vec2 corner = vec2(gl_VertexID == 2 ? 3.0 : -1.0, gl_VertexID == 1 ? 3.0 : -1.0);
    gl_Position = vec4(corner, 1.0, 1.0);
    ray = (rays * vec4(corner, 1.0, 1.0)).xyz;
}
"""

BACKDROP_FRAGMENT = "#version 330\n%(define)s\n" + _FRAME + """
uniform sampler2DArray patterns;
in vec3 ray;
layout(location = 0) out vec4 rgb;
#ifdef GEOMETRY
layout(location = 1) out vec2 geometry;
#endif
""" + _DEVELOP + """
void main() {
    vec3 d = normalize(ray);
    vec3 color = backdrop.rgb * (0.9 + 0.25 * d.z);
#ifdef PATTERN
    vec2 around = vec2(atan(d.y, d.x) * 0.9549, 1.5 * d.z);
    color *= textureLod(patterns, vec3(around, backdrop.w), 1.0).r;
#endif
    rgb = vec4(develop(color * eye.w), 1.0);
#ifdef GEOMETRY
    geometry = vec2(-1.0, -1.0);
#endif
}
"""

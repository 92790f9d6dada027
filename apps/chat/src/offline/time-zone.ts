/** The time zone of a city that gave one its name: "Tokyo" is Asia/Tokyo. */
export function timeZoneIn(place: string): string | undefined {
  const wanted = place.trim().toLowerCase().replace(/\s+/g, "_");
  if (wanted === "utc" || wanted === "gmt") return "UTC";
  return Intl.supportedValuesOf("timeZone").find((zone) => {
    const name = zone.toLowerCase();
    return name === wanted || name.slice(name.lastIndexOf("/") + 1) === wanted;
  });
}
